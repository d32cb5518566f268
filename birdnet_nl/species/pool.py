"""Several species as one job: `data.pool=all` or `data.pool=[koolmees,pimpelmees]`."""

from collections.abc import Sequence

from birdnet_nl.species.table import Species, all_species, species_called
from birdnet_nl.util.errors import SelectionError

NAMED_IN_SLUG = 3  # a pool of more species is called after their number


def pooled_species(pool: str | Sequence[str]) -> list[Species]:
    """The species meant by the value of `data.pool`, in its order, each once; names as in `species=`.

    Raises `SelectionError` when a name means none.
    """
    names = [pool] if isinstance(pool, str) else pool
    species = [found for name in names for found in species_called(str(name))]
    if not species:
        raise SelectionError("data.pool=[] names no species; give for example data.pool=[koolmees,pimpelmees] or all")
    return list(dict.fromkeys(species))


def pool_as_species(pool: str | Sequence[str]) -> Species:
    """What stands for the pool where a run names its species: in its folder, its report and its checkpoint."""
    members = pooled_species(pool)
    if len(members) == len(all_species()):
        slug, dutch, english = "pool-all", "alle soorten", "all species"
    elif isinstance(pool, str) and pool.startswith("priority"):
        slug, dutch, english = f"pool-{pool}", f"soorten van prioriteit {pool[-1]}", f"species of priority {pool[-1]}"
    elif len(members) <= NAMED_IN_SLUG:
        slug = "pool-" + "-".join(species.slug for species in members)
        dutch, english = " + ".join(s.dutch for s in members), " + ".join(s.english for s in members)
    else:
        slug, dutch = (
            f"pool-{members[0].slug}-and-{len(members) - 1}-more",
            f"{members[0].dutch} en {len(members) - 1} andere",
        )
        english = f"{members[0].english} and {len(members) - 1} others"
    return Species(slug, dutch, english, scientific="a pool of species", birdnet="", priority=0)
