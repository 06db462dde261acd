"""The page of a family and the page of a formulation."""

from attlas_ref.records import Record, all_records
from attlas_ref.testing.laws import Law, laws_of

from . import explorer, text

FORMULATION = """\
---
description: "{title}: formula, figure, laws, engines, source"
---
# {name}

{summary}

{formula}

{figure}

| at a glance | |
| --- | --- |
{glance}

## The idea

{idea}

## The code

```python
{code}
```

{shared_code}

## The function

::: attlas_ref.{module}.{name}
    options:
      heading_level: 3
      show_source: false

## Laws

{laws}
"""

ENTRY = """\
## [{name}]({name}.md)

{summary}

{formula}

{figure}

{source}. Runs on {engines}. Laws: [{laws}]({name}.md#laws).
"""

NO_LAW = "None yet that ties it to another formulation: what must hold of it is tested on the reference itself."


def formulation_page(record: Record, caption: str) -> str:
    """Return the page of a formulation: formula, figure, facts, lesson, function, laws."""
    # What is special about the formulation before what it shares with many.
    laws = sorted(laws_of(record.name), key=lambda law: len(law.subjects))
    glance = {
        "call": f"`{text.call(record)}`",
        "shapes": f"`{record.signature}`",
        "engines": f"{engines(record)}: {text.KINDS[record.kind]}",
        "cost": text.cost(record),
        "gradient": f"[`{record.vjp}`]({text.address(record.vjp, record)})" if record.vjp else "",
        "source": text.source(record.source),
        "family": f"[{record.family}](index.md)",
        "try it": f"`attlas compare {record.name}`{explorer.ways(record)}",
    }
    return FORMULATION.format(
        name=record.name,
        title=record.title,
        summary=text.summary(record),
        formula=text.formula(record),
        figure=text.figure(record.name, record.title, caption),
        glance="\n".join(f"| {name} | {text.one_line(entry)} |" for name, entry in glance.items() if entry),
        idea=text.idea(record),
        code=text.code(record),
        shared_code=text.shared_code(record),
        module=record.module,
        laws="\n\n".join(law_entry(law, record) for law in laws) or NO_LAW,
    )


def law_entry(law: Law, record: Record) -> str:
    """Return a law's name, its statement, and the other formulations that it ties to this one."""
    spoken_of = law.ties if record.name in law.subjects else (*law.subjects, *law.ties)
    others = text.links([name for name in spoken_of if name != record.name], lambda name: text.address(name, record))
    return text.entry(law.name, f"`{law.statement}`", f"Ties it to {others}." if others else "")


def family_page(family: str, captions: dict[str, str]) -> str:
    """Return the page of a family: what it is about, then an entry per formulation."""
    records = all_records(family)
    contents = "\n".join(
        f"| [`{r.name}`]({r.name}.md) | {r.title} | {text.one_line(engines(r))} | {r.source.year} |" for r in records
    )
    entries = "\n".join(
        ENTRY.format(
            name=record.name,
            title=record.title,
            summary=text.summary(record),
            formula=text.formula(record),
            figure=text.figure(record.name, record.title, captions[record.name]),
            source=text.source(record.source),
            engines=engines(record),
            laws=len(laws_of(record.name)),
        )
        for record in records
    )
    head = "| formulation | is | engines | year |\n| --- | --- | --- | --- |"
    return f"# {family}\n\n{text.about_family(family)}\n\n{head}\n{contents}\n\n{entries}"


def engines(record: Record) -> str:
    """Return the names of the engines that compute a formulation."""
    return ", ".join(f"`{name}`" for name in record.engines) if record.kind != "U" else "NumPy"
