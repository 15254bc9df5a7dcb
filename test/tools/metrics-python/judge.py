"""Reads a broker's /metrics like other programs, and prints their results as JSON.

It requests the page like Prometheus, preferring OpenMetrics; prometheus_client
parses it. Datadog's OpenMetrics check, configured for all zonewise metrics, submits
what an agent would send.
"""

import json
import os
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

# Datadog's own tests refuse tags that violate their naming guide.
os.environ["DDEV_SKIP_GENERIC_TAGS_CHECK"] = "true"

from datadog_checks.base import OpenMetricsBaseCheckV2  # noqa: E402
from datadog_checks.base.stubs import aggregator  # noqa: E402

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def scrape(url):
    request = urllib.request.Request(url, headers={"Accept": ACCEPT})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def families(kind, text):
    parse = openmetrics if kind.startswith("application/openmetrics-text") else prometheus
    return {f.name: {"type": f.type, "help": f.documentation, "samples": len(f.samples)} for f in parse(text)}


def datadog(url):
    check = OpenMetricsBaseCheckV2("zonewise", {}, [{"openmetrics_endpoint": url, "namespace": "broker", "metrics": ["zonewise_.+"]}])
    for _ in range(2):  # a counter is a difference: the first look submits none
        failed = check.run()
        if failed:
            raise SystemExit(failed)
    return {name: len(aggregator.metrics(name)) for name in aggregator.metric_names}


def main(url):
    kind, text = scrape(url)
    json.dump({"content_type": kind, "families": families(kind, text), "datadog": datadog(url)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
