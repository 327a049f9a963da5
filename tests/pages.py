"""What the script of a page is told, which the page holds deflated."""

import base64
import json
import zlib


def told(page):
    """Of a page by its path; JSON has no NaN, so that is an error here."""
    text = page.read_text(encoding="utf-8")
    start = text.index('id="payload">') + len('id="payload">')
    packed = base64.b64decode(text[start : text.index("</script>", start)])
    return json.loads(zlib.decompress(packed), parse_constant=lambda name: 1 / 0)


def pictures(page):
    """How many pictures it shows."""
    return json.dumps(told(page)).count("data:image/png")
