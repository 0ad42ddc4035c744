"""A project as its workers see it, in a process of their own; see conftest.in_project()."""
