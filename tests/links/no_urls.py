"""A project that has not included the links."""

urlpatterns = []
