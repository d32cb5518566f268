"""HTML pages of the commands: Jinja2 templates that need no other file and no network."""

from typing import Any

from birdnet_nl.util.extras import require_extra


def render_page(name: str, **values: Any) -> str:
    """Render `templates/<name>.html.j2`; values are escaped unless a template marks them as safe."""
    require_extra("jinja2", "train")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("birdnet_nl.commands"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(f"{name}.html.j2").render(**values)
