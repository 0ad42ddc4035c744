"""What the shop keeps. Where an order stands between two of these rows, its workflow knows."""

from decimal import Decimal

from django.db import models
from django.urls import reverse


class Product(models.Model):
    name = models.CharField(max_length=150, unique=True)
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)  # all that was ever put on the shelf

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    class Status(models.TextChoices):
        NEW = "new", "new"
        SHIPPED = "shipped", "shipped"
        REFUSED = "refused", "refused"
        RETURNED = "returned", "returned"

    number = models.CharField(max_length=60, unique=True)
    customer = models.CharField(max_length=150)
    country = models.CharField(max_length=60)
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)
    refusal = models.TextField(blank=True)
    taken = models.BooleanField(default=False)  # its goods are off the shelves
    payment = models.CharField(max_length=60, blank=True)  # its id at the payment service

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"order {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.pk])

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines.all()), Decimal("0.00"))


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    # A name, as the customer wrote it: the shop may not know the product.
    product = models.CharField(max_length=150)
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


class Shipment(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="shipments")
    number = models.CharField(max_length=70, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"shipment {self.number} of {self.order}"


class Parcel(models.Model):
    shipment = models.ForeignKey(Shipment, models.CASCADE, related_name="parcels")
    product = models.CharField(max_length=150)
    quantity = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class ClosedRoute(models.Model):
    """A country to which nothing can be shipped at the moment."""

    country = models.CharField(max_length=60, unique=True)
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ["country"]

    def __str__(self) -> str:
        return f"{self.country}: {self.reason}"


class Notification(models.Model):
    """A message to a customer; a real shop would send it."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="notifications")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text
