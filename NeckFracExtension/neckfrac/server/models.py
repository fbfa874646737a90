"""What requests and answers hold, as OpenAPI shows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .problems import Problem

OperatingPoint = Literal["sensitive", "balanced", "specific"]
Level = Literal["C1", "C2", "C3", "C4", "C5", "C6", "C7"]


class StudyOptions(BaseModel):
    """How a study is analysed: fields of the upload's form."""

    model_config = ConfigDict(extra="forbid")

    operating_point: OperatingPoint = "balanced"
    explain: Literal["heat", "grad-cam", "smooth-grad"] = Field("heat", description="What draws the heat map.")
    member: str | None = Field(None, max_length=80, pattern=r"^[\w.-]+$", description="Whose heat map, by its bundle.")
    anchors: bool = Field(False, description="Segment T1 and the skull base as well.")
    series: str | None = Field(None, max_length=64, pattern=r"^[0-9.]+$", description="Series UID or number.")

    @classmethod
    def of_form(cls, fields: dict[str, str]) -> StudyOptions:
        """Raises Problem 422, which does not repeat what was sent."""
        try:
            return cls(**{key: value for key, value in fields.items() if value != ""})
        except ValidationError as error:
            places = ", ".join(str(one["loc"][0])[:40] for one in error.errors() if one["loc"])
            raise Problem(422, "An option is not understood.", "See /docs for what there is.", where=places) from error

    def chosen(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        return self.model_dump(exclude_defaults=True)


class ErrorView(BaseModel):
    """Why a study has no result."""

    kind: str
    what: str
    where: str
    advice: str


class DeliveryView(BaseModel):
    """Where the results are on their way to the PACS."""

    state: Literal["waiting", "sending", "delivered", "failed"]
    tries: int
    next_try: float | None
    error: str
    delivered: float | None


class ExplanationView(BaseModel):
    """Another heat map of a study; its files are those of the study with this id."""

    id: str
    state: str
    explain: str
    stage: str
    fraction: float
    place: int | None
    error: ErrorView | None


class StudyView(BaseModel):
    """One study. Times are seconds since 1970. place: in the queue, from 1. files: names for .../files/{name}."""

    id: str
    state: Literal["receiving", "queued", "running", "done", "failed", "cancelled"]
    created: float
    started: float | None
    finished: float | None
    place: int | None
    stage: str
    fraction: float
    attempt: int
    uploaded_files: int
    uploaded_bytes: int
    options: dict[str, Any]
    revision: int
    probability: float | None
    status: str
    level: str
    level_probability: float | None
    patient_id: str
    patient_name: str
    study_date: str
    error: ErrorView | None
    files: list[str]
    explanations: list[ExplanationView]
    delivery: DeliveryView | None


class StudyList(BaseModel):
    """Positive studies first, by probability; the others in the order in which they arrived."""

    studies: list[StudyView]
    counts: dict[str, int]


class PredictedLevel(BaseModel):
    level: str
    status: str
    probability: float | None
    suspicion: str | None
    box: dict[str, Any] | None


class Prediction(BaseModel):
    """picture: the overview, a PNG as a data address. explanation: what speaks for it, in words and level by level."""

    id: str
    status: str
    probability: float | None
    operating_point: str
    picture: str
    explanation: str
    levels: list[PredictedLevel]
    disclaimer: str
    links: dict[str, str]


class ReviewIn(BaseModel):
    """What a reader says of a level."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["confirmed", "rejected", "added"]
    note: str = Field("", max_length=2_000)


class ReviewView(ReviewIn):
    level: Level
    who: str
    at: float


class ExplanationIn(BaseModel):
    """Which other heat map to draw."""

    model_config = ConfigDict(extra="forbid")

    explain: Literal["grad-cam", "smooth-grad"] = "grad-cam"
    member: str | None = Field(None, max_length=80, pattern=r"^[\w.-]+$")


class SessionIn(BaseModel):
    """A token, or the code of the one-time link."""

    model_config = ConfigDict(extra="forbid")

    secret: str = Field(max_length=200)


class SessionView(BaseModel):
    name: str
    role: Literal["read", "write", "admin"]


class ProblemView(BaseModel):
    """RFC 9457, and what is wrong, where in the upload, and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    what: str
    where: str
    advice: str
