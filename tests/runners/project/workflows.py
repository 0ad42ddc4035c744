"""Found as in any app."""

import os
import time

from django_workflows import Workflow, register, step


@register
class Answering(Workflow):
    """Says which process answered, after as long as it was told to think."""

    id = "answering"

    @step
    def think(self, state):
        time.sleep(state.input["seconds"])
        return os.getpid()
