from django.urls import path

from shop import views

app_name = "shop"

urlpatterns = [
    path("", views.orders, name="orders"),
    path("orders/<int:pk>/", views.order, name="order"),
    path("orders/<int:pk>/return/", views.request_return, name="return"),
]
