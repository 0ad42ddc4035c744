from typing import TYPE_CHECKING

from django.contrib import admin

from django_workflows.admin.mixins import WorkflowAdminMixin
from shop.models import ClosedRoute, Notification, Order, OrderLine, Product, Shipment
from shop.workflows import OrderFulfilment

if TYPE_CHECKING:
    OrderPages = admin.ModelAdmin[Order]
    LineTable = admin.TabularInline[OrderLine, Order]
else:  # generic for the type checker only
    OrderPages = admin.ModelAdmin
    LineTable = admin.TabularInline


class LineInline(LineTable):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(WorkflowAdminMixin, OrderPages):
    """Orders, each with its executions, the decision that is asked, and a button to fulfil it."""

    list_display = ("number", "customer", "country", "status", "refusal")
    list_filter = ("status", "country")
    search_fields = ("number", "customer")
    inlines = (LineInline,)
    workflow_start = {OrderFulfilment.id: lambda order: {"order_id": order.pk}}


admin.site.register([ClosedRoute, Notification, Product, Shipment])
