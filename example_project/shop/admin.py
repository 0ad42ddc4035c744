from django.contrib import admin

from shop.models import ClosedRoute, Notification, Order, OrderLine, Product, Shipment


class OrderLineInline(admin.TabularInline[OrderLine, Order]):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin[Order]):
    list_display = ["number", "customer", "country", "status", "refusal"]
    list_filter = ["status", "country"]
    search_fields = ["number", "customer"]
    inlines = [OrderLineInline]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin[Product]):
    list_display = ["name", "unit_price", "stock"]
    search_fields = ["name"]


@admin.register(Shipment)
class ShipmentAdmin(admin.ModelAdmin[Shipment]):
    list_display = ["pk", "order", "created_at"]
    list_select_related = ["order"]


@admin.register(ClosedRoute)
class ClosedRouteAdmin(admin.ModelAdmin[ClosedRoute]):
    list_display = ["country", "reason"]


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin[Notification]):
    list_display = ["text", "order", "created_at"]
    list_select_related = ["order"]
