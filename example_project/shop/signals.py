"""A workflow started by a model signal."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from django_workflows import start
from shop.models import Shipment
from shop.workflows import ShipmentNotice


@receiver(post_save, sender=Shipment)
def send_notice(sender: type[Shipment], instance: Shipment, **kwargs: Any) -> None:
    # The order's step is still in its transaction here: should that roll back, nothing has started.
    if kwargs["created"]:
        start(ShipmentNotice, {"shipment_id": instance.pk}, subject=instance.order)
