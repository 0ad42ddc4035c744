import pytest

# Its asserts are to explain themselves as those of test modules do.
pytest.register_assert_rewrite("tests.stores.contract")
