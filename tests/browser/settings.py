"""The settings of the tests, with the pages of the example shop, as strict as a site may be."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS
from tests.settings import MIDDLEWARE as PLAIN

# isort: split
# Only now: the settings of the tests have put the shop on the path.
from config import settings as shop

ROOT_URLCONF = "config.urls"
LOGIN_URL = shop.LOGIN_URL
LOGIN_REDIRECT_URL = shop.LOGIN_REDIRECT_URL
TIME_ZONE = shop.TIME_ZONE
REST_FRAMEWORK = shop.REST_FRAMEWORK
SPECTACULAR_SETTINGS = shop.SPECTACULAR_SETTINGS
INSTALLED_APPS = [*APPS, *(app for app in shop.INSTALLED_APPS if app not in APPS)]
MIDDLEWARE = ["tests.browser.strict.content_security_policy", *PLAIN]
