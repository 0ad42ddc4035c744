from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.formats import localize
from django.utils.timezone import localtime
from django.views.decorators.http import require_POST, require_safe

from django_workflows import resume, start
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotAllowed, NotResumable
from django_workflows.models import WorkflowWait
from django_workflows.permissions import authorize, authorize_answer, may
from shop.fulfilment import executions_of, fulfil, fulfilment_statuses
from shop.models import Order
from shop.panels import panels
from shop.workflows import OrderFulfilment, ReturnOfGoods


@login_required
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    newest = Order.objects.prefetch_related("lines").order_by("-pk")[:200]
    statuses = fulfilment_statuses(newest)
    rows = [(order, statuses.get(order.pk)) for order in newest]
    return render(request, "shop/orders.html", {"rows": rows})


@login_required
@require_safe
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an order and its workflows; those alone where its page asks for what has changed."""
    found = get_object_or_404(Order.objects.prefetch_related("lines"), pk=pk)
    shown = list(panels(found, request.user))
    context = {
        "order": found,
        "panels": shown,
        "may_fulfil": not any(one.execution.workflow_id == OrderFulfilment.id for one in shown)
        and may(request.user, "start", workflow_id=OrderFulfilment.id),
    }
    is_part = "live" in request.GET
    return render(request, "shop/order_live.html" if is_part else "shop/order.html", context)


@login_required
@require_POST
def fulfil_order(request: HttpRequest, pk: int) -> HttpResponse:
    """Start the fulfilment of an order, for those who may start it."""
    found = get_object_or_404(Order, pk=pk)
    try:
        authorize(request.user, "start", workflow_id=OrderFulfilment.id)
    except NotAllowed as error:
        messages.error(request, str(error))
    else:
        fulfil(found, by=request.user)
        messages.success(request, f"{found} is being fulfilled.")
    return redirect(found)


@login_required
@require_POST
def decide(request: HttpRequest, pk: int, wait: UUID) -> HttpResponse:
    """Approve or reject what waits for a decision; whom it asks may, without any permission."""
    found = get_object_or_404(Order, pk=pk)
    asked = get_object_or_404(
        WorkflowWait.objects.select_related("execution"),
        pk=wait,
        kind=WaitKind.APPROVAL,
        execution__in=executions_of(found),
    )
    approved = {"approve": True, "reject": False}.get(request.POST.get("decision", ""))
    if approved is None:
        messages.error(request, "Say what you decide: approve or reject.")
        return redirect(found)
    comment = request.POST.get("comment", "").strip() or None
    try:
        if asked.status == WaitStatus.OPEN:  # else it is told who was quicker
            authorize_answer(request.user, asked.execution.to_core(), asked.to_core())
        resume(
            asked.execution_id, step=asked.pk, approved=approved, response=comment, by=request.user
        )
    except AlreadyResumed as error:
        messages.error(request, _too_late(asked, error, comment))
    except (NotAllowed, NotResumable) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It is approved." if approved else "It is rejected.")
    return redirect(found)


def _too_late(asked: WorkflowWait, error: AlreadyResumed, comment: str | None) -> str:
    """Say who was first, and give back what was written: the page has an empty form by now."""
    when = f" on {localize(localtime(error.at))}" if error.at else ""
    who = f"{error.by} has decided" if error.by else "It was decided"
    told = f"{asked.prompt or asked.step}: {who}{when} already. Nothing was changed."
    return f"{told} You wrote: {comment}" if comment else told


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
