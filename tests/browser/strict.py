"""The Content-Security-Policy under which every page has to work."""

from django.urls import reverse

#: Nothing inline, and nothing from elsewhere.
POLICY = "default-src 'self'"

#: Swagger UI, a library of its own, draws its arrows as data: and writes a style into its page.
SWAGGER = f"{POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"


def content_security_policy(get_response):
    def middleware(request):
        response = get_response(request)
        is_swagger = request.path == reverse("swagger")
        response["Content-Security-Policy"] = SWAGGER if is_swagger else POLICY
        return response

    return middleware
