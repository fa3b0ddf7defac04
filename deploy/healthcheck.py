"""Whether a service in this container is ready: in goes its port, out comes exit code 0, or 1 and the reason.

Ready is an answer of 200 at /readyz. In Python because the image has no curl. A probe of one's own container never goes through a
proxy, whatever the environment says.
"""

import sys
import urllib.error
import urllib.request

SECONDS_MAX = 4.0


def main(port: str) -> int:
    """Ask once."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/readyz", timeout=SECONDS_MAX):
            return 0
    except urllib.error.HTTPError as error:
        with error:
            print(error.read().decode(errors="replace"), file=sys.stderr)  # noqa: T201 - `docker inspect` shows it
    except OSError as error:
        print(f"no answer at port {port}: {error}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
