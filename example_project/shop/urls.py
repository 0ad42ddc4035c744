from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import RedirectView

from shop import views

app_name = "shop"

#: What browsers ask for on pages that name no icon, such as those of the admin.
ICON = RedirectView.as_view(url=f"{settings.STATIC_URL}shop/icon.svg")

urlpatterns = [
    path("favicon.ico", ICON),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(next_page="shop:orders"), name="logout"),
    path("", views.orders, name="orders"),
    path("orders/<int:pk>/", views.order, name="order"),
    path("orders/<int:pk>/fulfil/", views.fulfil_order, name="fulfil"),
    path("orders/<int:pk>/decide/<uuid:wait>/", views.decide, name="decide"),
    path("orders/<int:pk>/return/", views.request_return, name="return"),
]
