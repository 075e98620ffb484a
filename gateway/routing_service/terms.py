"""What operators allow routing: a TOML file, and the policies that follow from it.

max_share = 0.15            # what all but the best guess get together, at most
fall_back_margin = 0.02     # by how much routed payments may do worse than the others
aim = "EXPECTED_VALUE"      # or SUCCESS, the default
margin_share = 0.2
[costs.us]                  # by corridor
success_fee_share = 0.029
success_fee_minor = 30
[merchants.shop_1]
off = true                  # the operators' order, always
[merchants.shop_2]
aim = "SUCCESS"
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.routing.decision import Policy
from gateway.routing.features import FeatureSpace
from gateway.routing.objective import Aim, CorridorCosts, Objective
from gateway.routing.propensity import Exploration
from gateway.routing.state import hash_of

MAX_TERMS_BYTES = 1_000_000
MAX_MERCHANTS = 10_000
SPACE = FeatureSpace()
HASH_CHARACTERS = 16

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Fee = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Corridor = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Merchant = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TermsError(ValueError):
    """The file cannot be used; the text says where and why."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Costs(_Strict):
    """What a payment costs on a corridor; fees in minor units of the payment's currency."""

    attempt_fee_minor: Fee = 0.0
    success_fee_minor: Fee = 0.0
    success_fee_share: Share = 0.0
    dispute_share: Share = 0.0
    dispute_fee_minor: Fee = 0.0
    dispute_loss_share: Share = 1.0


class MerchantTerms(_Strict):
    """What is otherwise for one merchant."""

    off: bool = False
    aim: Aim | None = None
    margin_share: Annotated[float, Field(gt=0, le=1)] | None = None


class RoutingTerms(_Strict):
    """All that operators set."""

    max_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    max_cost: Share = 0.001
    probe_share: Share = 0.04
    min_share: Annotated[float, Field(ge=0, le=0.1)] = 0.002
    fall_back_margin: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    aim: Aim = Aim.SUCCESS
    margin_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    costs: Mapping[Corridor, Costs] = Field(default_factory=dict, max_length=64)
    merchants: Mapping[Merchant, MerchantTerms] = Field(
        default_factory=dict, max_length=MAX_MERCHANTS
    )

    @property
    def digest(self) -> str:
        """Names the terms and the features that they are applied to."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True) + hash_of(SPACE)
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]

    def is_off_for(self, merchant_id: str) -> bool:
        """Whether the operators' order alone counts for a merchant."""
        found = self.merchants.get(merchant_id)
        return found is not None and found.off

    def policy_of(self, merchant_id: str) -> Policy:
        """The policy for a merchant's payments."""
        own = self.merchants.get(merchant_id, MerchantTerms())
        objective = Objective(
            aim=own.aim or self.aim,
            margin_share=own.margin_share or self.margin_share,
            costs={name: CorridorCosts(**costs.model_dump()) for name, costs in self.costs.items()},
        )
        return Policy(space=SPACE, exploration=self.exploration, objective=objective)

    @property
    def exploration(self) -> Exploration:
        """How much may be tried out."""
        return Exploration(
            max_share=self.max_share,
            max_cost=self.max_cost,
            probe_share=self.probe_share,
            min_share=min(self.min_share, self.probe_share),
        )


def terms_of_file(path: Path | None) -> RoutingTerms:
    """The terms of a file, or the default ones without any. Raises TermsError."""
    if path is None:
        return RoutingTerms()
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_TERMS_BYTES:
            raise TermsError(f"{path}: {len(raw)} bytes, at most {MAX_TERMS_BYTES}")
        return RoutingTerms.model_validate(tomllib.loads(raw.decode()))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        texts = [".".join(map(str, item["loc"])) + ": " + item["msg"] for item in found]
        raise TermsError(f"{path}: {'; '.join(texts)}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TermsError(f"{path} cannot be read: {type(error).__name__}") from None
