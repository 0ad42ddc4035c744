"""What steps do to the world."""

from django.db import models


class Effect(models.Model):
    """A line for each time that an atomic step did something; ``key`` is its idempotency key."""

    execution = models.UUIDField(db_index=True)
    name = models.CharField(max_length=100)
    key = models.CharField(max_length=300)  # not unique: a double is what a test looks for
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.key
