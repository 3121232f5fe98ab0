"""Settings that come under names that others gave them."""

from devops_agent.config import load_settings


def test_port_is_read_as_platforms_call_it():
    assert load_settings(environ={"PORT": "5072"}).port == 5072
    assert load_settings(environ={"PORT": "5072", "DEVOPS_AGENT_PORT": "5073"}).port == 5073
    assert load_settings({"port": 5074}, environ={"PORT": "5072"}).port == 5074
    assert load_settings(environ={"PORT": "tcp://10.0.0.1:80"}).port == 5000
