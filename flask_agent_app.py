"""The service: `python flask_agent_app.py [--debug]`, or `gunicorn flask_agent_app:app`."""

from devops_agent.web import create_app, server

if __name__ == "__main__":
    raise SystemExit(server.main())
app = create_app()
