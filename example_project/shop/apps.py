from django.apps import AppConfig
from django.conf import settings


class ShopConfig(AppConfig):
    name = "shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from shop import signals  # noqa: F401  connects its receivers

        url = getattr(settings, "SITE_URL", "")
        if url:
            from django_workflows.links import mail

            mail.connect(url)
