from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from django_workflows import explain, start
from shop.fulfilment import executions_of
from shop.models import Order
from shop.workflows import ReturnOfGoods


@login_required
def orders(request: HttpRequest) -> HttpResponse:
    newest = Order.objects.prefetch_related("lines").order_by("-pk")[:100]
    return render(request, "shop/orders.html", {"orders": newest})


@login_required
def order(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Order, pk=pk)
    executions = [(execution, explain(execution.id)) for execution in executions_of(found)]
    return render(request, "shop/order.html", {"order": found, "executions": executions})


@login_required
@require_POST
def request_return(request: HttpRequest, pk: int) -> HttpResponse:
    """Start a workflow from a view: it is driven once the transaction has committed."""
    reason = request.POST.get("reason", "").strip() or "no reason given"
    with transaction.atomic():
        found = get_object_or_404(Order.objects.select_for_update(), pk=pk)
        if found.status != Order.Status.SHIPPED:
            messages.error(request, f"{found} is {found.status}, and so cannot come back.")
        else:
            # However often the button is pressed: one key, one execution.
            start(
                ReturnOfGoods,
                {"order_id": found.pk, "reason": reason},
                idempotency_key=f"return:{found.pk}",
                subject=found,
                by=request.user,
            )
            messages.success(request, f"A manager will look at the return of {found}.")
    return redirect(found)
