"""Who there is, and what each of them may do: written by hand, to hold the faces against it."""

from django.contrib.auth.models import Permission, User

#: Whose execution is asked for. Their own: the requester has started it, the approver is asked.
WHOSE = ("own", "foreign", "missing")

_BOTH = frozenset({"own", "foreign"})
_ALL = ("view", "start", "resume", "retry", "cancel", "skip", "fork")

#: Actions of each, with whose executions. None but the one who is asked may decide.
RIGHTS = {
    "anonymous": {},
    "user": {},
    "staff": {},
    "viewer": {"view": _BOTH},
    "operator": dict.fromkeys(_ALL, _BOTH),
    "approver": {"view": {"own"}, "decide": {"own"}},
    "requester": {"view": {"own"}, "start": set()},
    "superuser": dict.fromkeys(_ALL, _BOTH),
}

PEOPLE = tuple(RIGHTS)

#: Who gets into the admin at all.
STAFF = frozenset(PEOPLE) - {"anonymous", "user"}

#: Who is not a stranger to workflows.
KNOWN = frozenset(PEOPLE) - {"anonymous", "user", "staff"}


def can(person, action, whose, *, asked=True):
    """Say whether a person may do something; the approver only where the execution asks."""
    if person == "approver" and not asked:
        return False
    return whose in RIGHTS[person].get(action, ())


def may_at_all(person, action):
    """Say whether a person has the permission for an action."""
    return action in RIGHTS[person] and person != "approver"


def made():
    """Return the users, by what they are."""
    permissions = {
        "viewer": ["view"],
        "operator": [*_ALL, "decide"],
        "requester": ["start"],
    }
    users = {}
    for name in PEOPLE[1:]:
        make = User.objects.create_superuser if name == "superuser" else User.objects.create_user
        user = make(name, f"{name}@example.com", is_staff=name in STAFF)
        codenames = [f"{action}_workflowexecution" for action in permissions.get(name, ())]
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        users[name] = User.objects.get(pk=user.pk)
    return users
