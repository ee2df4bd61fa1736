"""deploy/grafana's dashboard as a program reads it: its panels, and its queries with Grafana's variables filled in."""
import json
import re
import urllib.parse

from support import DEPLOY, get

PATH = DEPLOY / "grafana/dashboards/heed.json"


def load():
    return json.loads(PATH.read_text(encoding="utf-8"))


def panels(dashboard):
    """Every panel that asks something, rows opened."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def filled_in(expression, rate_interval):
    """As Grafana sends it where all replicas and models are chosen."""
    expression = expression.replace("$__rate_interval", rate_interval)
    expression = re.sub(r"\$\{?(instance|model)\b\}?", ".*", expression)
    assert "$" not in expression, f"an unknown variable: {expression}"
    return expression


def ask(prometheus, path, **arguments):
    """`data` of an answer of Prometheus's API."""
    status, text = get(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments, doseq=True)}")
    answer = json.loads(text) if text.startswith("{") else {}
    if status != 200 or answer.get("status") != "success":
        raise AssertionError(f"{path} {arguments}: {status} {text}")
    return answer["data"]
