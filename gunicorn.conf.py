"""Settings for `gunicorn flask_agent_app:app`: the same that `devops-agent serve` uses."""

from devops_agent.config import load_settings
from devops_agent.web.server import options

globals().update(options(load_settings()))
