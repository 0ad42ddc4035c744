"""``python -m tests.crash.manage``: Django's commands with the settings of the crash tests."""

import os
import sys

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.crash.settings"
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
