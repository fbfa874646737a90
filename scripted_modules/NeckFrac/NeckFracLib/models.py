"""The installed networks as rows for a table, and which of them the next run leaves out. Knows no Qt."""

from slicer.i18n import tr as _

from .engine_path import ensureEngine

ADD = "add_model"


def readModels():
    """The installed bundles (`neckfrac.bundles.library.Entry`), the embedded and the user's, damaged ones too."""
    ensureEngine()
    from neckfrac.bundles.library import survey

    return survey()


def userFolder():
    """Where added bundles lie, the same for Slicer and the command line: an installation may be read-only."""
    ensureEngine()
    from neckfrac.bundles.library import user_folder

    return user_folder()


def isMember(entry):
    """Whether the bundle is a member of the ensemble that can be left out."""
    return entry.weight is not None and not entry.error


def leftOut(text):
    """The members to leave out: those that the parameter node names and that are still installed."""
    named = {name.strip() for name in (text or "").split(",")} - {""}
    return sorted(named & {entry.name for entry in readModels() if isMember(entry)}) if named else []


def withChoice(text, name, used):
    """The parameter's text after a member was ticked (used) or unticked."""
    named = {part.strip() for part in (text or "").split(",")} - {"", name}
    return ",".join(sorted(named if used else named | {name}))


def reasonAgainstLeavingOut(entries, text):
    """Why these members can't be left out together, for the user; None when they can."""
    named = {part.strip() for part in text.split(",")}
    counting = [entry for entry in entries if isMember(entry) and entry.weight > 0]
    if counting and all(entry.name in named for entry in counting):
        return _("At least one network that counts in the ensemble is needed.")
    return None


def addArguments(path, replace=False):
    """The worker's request to check a bundle and add it to the user's."""
    return {"file": str(path), "replace": replace}


def remove(name):
    """Delete one of the user's bundles. Raises ValueError with the reason when it is needed or not the user's."""
    from neckfrac.bundles.installing import remove_bundle
    from neckfrac.errors import InputError

    try:
        remove_bundle(name)
    except InputError as error:
        raise ValueError(" ".join(filter(None, [error.what, error.advice]))) from error
