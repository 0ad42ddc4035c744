from django.contrib import admin

from shop.models import ClosedRoute, Notification, Order, OrderLine, Product, Shipment

admin.site.register([ClosedRoute, Notification, Order, OrderLine, Product, Shipment])
