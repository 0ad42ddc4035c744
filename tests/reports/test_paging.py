import pytest
from django.contrib.admin import AdminSite, ModelAdmin

from django_workflows.models import WorkflowExecution
from django_workflows.reports import CappedPaginator, Count
from tests.factories import WorkflowExecutionFactory

pytestmark = pytest.mark.django_db


class ShortPaginator(CappedPaginator):
    cap = 4


def test_pages_end_at_the_cap(django_assert_num_queries):
    WorkflowExecutionFactory.create_batch(6)
    paginator = ShortPaginator(WorkflowExecution.objects.all(), 3)

    with django_assert_num_queries(1):
        assert paginator.num_pages == 2
        assert paginator.count == 4
        assert paginator.counted == Count(4, is_more=True)
    assert len(paginator.page(2).object_list) == 1


def test_of_few_rows_all_are_there():
    WorkflowExecutionFactory.create_batch(2)
    paginator = CappedPaginator(WorkflowExecution.objects.all(), 3)

    assert paginator.counted == Count(2)
    assert paginator.page(1).object_list.count() == 2


def test_the_admin_takes_it(rf, admin_user, django_assert_num_queries):
    class Executions(ModelAdmin):
        paginator = ShortPaginator
        show_full_result_count = False

    WorkflowExecutionFactory.create_batch(5)
    request = rf.get("/")
    request.user = admin_user

    changes = Executions(WorkflowExecution, AdminSite()).get_changelist_instance(request)

    assert changes.result_count == 4
    assert changes.paginator.counted.is_more
