"""The gate: a move to a protected target happens in one transaction with the decision that allows it, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Never, TypeVar

from mlflow.exceptions import MlflowException  # noqa: TID253 -- only what stands at MLflow's doors loads this

from mlflow_rank.audit import ledger
from mlflow_rank.audit.placements import Move
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import Standing, standing
from mlflow_rank.policy.targets import canonical_target
from mlflow_rank.registry.gate.basis import BREAK_GLASS, Basis
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.description import NOTICE, with_decision, with_notice
from mlflow_rank.registry.gate.joined_sessions import JoinedSessions
from mlflow_rank.registry.gate.ledger_records import append, change_record, decision_record, refusal_record
from mlflow_rank.registry.gate.moves import in_words, moves_between, targets_of
from mlflow_rank.registry.gate.notices import Notice, notices_of
from mlflow_rank.registry.gate.open_requests import OpenRequest, closings
from mlflow_rank.registry.gate.prompts import is_really_a_prompt
from mlflow_rank.registry.gate.question import Hashed, Question
from mlflow_rank.registry.gate.refusal import refused, why_refused
from mlflow_rank.registry.gate.rules_in_force import ReadRules, RulesInForce
from mlflow_rank.registry.gate.tag_parcel import FLAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy.orm import Session

Result = TypeVar("Result")
MOST_TRIES = 5  # of a question that changes while it is answered


class TakenBack(MlflowException):  # type: ignore[misc]
    """A call whose effect a protected target must not have: it rolls the transaction back."""

    def __init__(self, sentence: str, target: str) -> None:
        super().__init__(sentence)
        self.sentence, self.target = sentence, target


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides and records for one store.

    Args:
        sessions: the store's.
        rules: reads what is in force at this moment.
        table: a decision as a Markdown table.
        notices: flags and break-glasses of a version as Markdown.
        client: reads runs and logged models.
        clock: the time, with its zone.
    """

    sessions: JoinedSessions
    rules: ReadRules
    table: Callable[[Decision], str]
    notices: Callable[[Sequence[Notice]], str]
    client: Callable[[], MlflowClient]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def place(self, call: Call, model: str, version: str, target: str, carry_out: Callable[[], Result]) -> Result:
        """Carry out a move to a target: freely where nobody governs it, else only if the policies approve.

        Raises:
            MlflowException: the move is refused (403), or MLflow itself refuses it; nothing has changed then.
        """
        return self._placed(call, model, version, target, carry_out)

    def place_once_approved(
        self, call: Call, model: str, version: str, request: OpenRequest, carry_out: Callable[[], object]
    ) -> bool:
        """Carry out a move that the gate makes by itself as soon as policies approve it; say whether they do.

        That they do not yet is no refusal, and is not recorded. Nothing happens either where the request was withdrawn
        meanwhile, or was made for other files than the version has now.

        Raises:
            MlflowException: it cannot be decided (403, recorded), or MLflow itself refuses it; nothing has changed.
        """
        made: Callable[[], bool] = lambda: bool(carry_out() or True)  # noqa: E731 -- a word on what it returns
        return self._placed(call, model, version, request.target, made, asked=request) is True

    def _placed(
        self,
        call: Call,
        model: str,
        version: str,
        target: str,
        carry_out: Callable[[], Result],
        *,
        asked: OpenRequest | None = None,
    ) -> Result:
        rules = self.rules()
        stands = self.standing(rules, call.workspace, model, target)
        if stands.left_alone:
            return self.watch(call, carry_out, rules)
        self._refuse_spelling(call, model, target)
        if rules.problems:
            self.refuse(call, f"the gate is shut, its rules cannot be read: {'; '.join(rules.problems)}", target=target)
        if stands.kind == "uncovered":
            self.refuse(call, stands.reason, target=target)
        for _ in range(MOST_TRIES):
            question, files, case = self._asked(call, model, version, target, rules)
            with self._recorded(call), self.sessions.transaction() as session:
                head = ledger.lock(session.connection())
                again = Question.read(session, call.workspace, model, version, target)
                now = files.still_of(question, again)
                if now is None or self.rules().digest != rules.digest:
                    rules = self.rules()  # other files, or other rules: what was hashed and read is out of date
                    continue
                if again != question:  # somebody else was first, or more evidence came
                    case = again.case(session, rules.trust, now, _known(call))
                policies = [policy for _, policy in rules.policies if isinstance(policy, PromotionPolicy)]
                decision = decide(policies, case, self.clock().replace(microsecond=0))
                stands_still = asked is None or (again.request == asked and now.candidate == asked.files)
                if asked is not None and not (stands_still and decision.verdict == "approve"):
                    return None  # type: ignore[return-value]  # of `place_once_approved` only
                return self._settle(session, head, call, decision, rules, carry_out)
        return self.refuse(call, "what the decision depends on kept changing; try again", target=target)

    def watch(self, call: Call, carry_out: Callable[[], Result], rules: RulesInForce | None = None) -> Result:
        """Carry out a call, and take it back where a protected target would point elsewhere afterwards.

        Args:
            call: at which door.
            carry_out: does it.
            rules: that were read just now; None to read them.

        Raises:
            MlflowException: it would (403), or MLflow itself refuses it.
        """
        rules = rules or self.rules()
        with self._recorded(call), self.sessions.transaction() as session:
            head = ledger.lock(session.connection())
            result, moves = self.carried_out(session, call, carry_out, rules, None)
            append(session, head, call, rules, [change_record(call, moves, None)], self.clock())
            return result

    def note(self, call: Call, carry_out: Callable[[], Result]) -> Result:
        """Carry out a call that moves nothing, and record it in the same transaction; MLflow may begin it anew.

        Raises:
            MlflowException: it would make a model of a prompt whose targets nobody was asked about (403), or MLflow
                itself refuses it.
        """
        rules = self.rules()
        with self._recorded(call), self.sessions.transaction() as session:
            ledger.lock(session.connection())
            was_prompt = is_really_a_prompt(session, call.workspace, call.models[0])
            result = carry_out()
            session.flush()
            head = ledger.lock(session.connection())  # again: MLflow rolls back before it tries another time
            if was_prompt:
                for move in moves_between({}, targets_of(session, call.workspace, call.models, stages=True)):
                    self._refuse_unless_free(session, rules, call, move)
            append(session, head, call, rules, [change_record(call, [], None)], self.clock())
        return result

    def refuse(self, call: Call, sentence: str, *, target: str | None = None) -> Never:
        """Record a refusal and raise it.

        Raises:
            MlflowException: always (403).
        """
        error = refused(sentence)
        self._record_refusal(call, error.message, target)
        raise error

    def _asked(
        self, call: Call, model: str, version: str, target: str, rules: RulesInForce
    ) -> tuple[Question, Hashed, Case]:
        with self.sessions.reading() as session:
            question = Question.read(session, call.workspace, model, version, target)
        try:
            files = question.hashed(self.client())  # between two sessions: SQLite lets nobody write while one reads
            with self.sessions.reading() as session:
                return question, files, question.case(session, rules.trust, files, _known(call))
        except MlflowRankError as error:
            self.refuse(call, f"{error.what}: {error.got}" if error.got else error.what, target=target)

    def _settle(
        self,
        session: Session,
        head: ledger.Head,
        call: Call,
        decision: Decision,
        rules: RulesInForce,
        carry_out: Callable[[], Result],
    ) -> Result:
        """Let the move happen or refuse it; either way the decision is in the ledger when this transaction ends."""
        allowed = decision.verdict == "approve" or not decision.enforced
        records = [decision_record(head, call, decision, rules.key)]
        if allowed:
            basis = Basis.of(decision)
            result, moves = self.carried_out(session, call, carry_out, rules, basis)
            records.append(change_record(call, moves, basis))
            closed = list(closings(session, call.workspace, basis))
            records += closed
            if any(each.body["kind"] == "flag" for each in closed):
                _take_flag_away(session, call.workspace, basis)
        else:
            error = refused(why_refused(decision), decision)
            records.append(refusal_record(call, error.message, decision.case.request.target, decision))
        append(session, head, call, rules, records, self.clock())
        self._describe(session, call, decision)
        if allowed:
            there = Move(basis.model, basis.target, basis.version, basis.version)
            self.restate(session, call.workspace, [there, *moves], new=False)
        if not allowed:
            session.commit()
            raise error
        return result

    def carried_out(
        self,
        session: Session,
        call: Call,
        carry_out: Callable[[], Result],
        rules: RulesInForce,
        basis: Basis | None,
    ) -> tuple[Result, list[Move]]:
        """Carry something out, in a transaction that has the lock, and return what it moved; all that must be allowed.

        Raises:
            TakenBack: it moved a protected target that `basis` is not about.
        """
        before = targets_of(session, call.workspace, call.models, stages=call.stages)
        result = carry_out()
        session.flush()
        moves = list(moves_between(before, targets_of(session, call.workspace, call.models, stages=call.stages)))
        for move in moves:
            if basis is None or not basis.covers(move):
                self._refuse_unless_free(session, rules, call, move)
        if basis is not None and not any(move.target == basis.target for move in moves):
            moves += self._unrecorded(session, call, basis)
        return result, moves

    def _unrecorded(self, session: Session, call: Call, basis: Basis) -> Iterator[Move]:
        """Yield what is allowed and is so already, but not by the ledger, or on no decision.

        It was placed before there was a gate, or in an emergency.
        """
        there = targets_of(session, call.workspace, [basis.model], stages=call.stages)
        if there.get((basis.model, basis.target)) != basis.version:
            return
        kept = ledger.placement(session.connection(), call.workspace, basis.model, basis.target)
        known = kept is not None and (kept.version, kept.files) == (basis.version, basis.files)
        if kept is None or not known or kept.decision is None or kept.decision.startswith(BREAK_GLASS):
            yield Move(basis.model, basis.target, basis.version, basis.version)

    def _refuse_unless_free(self, session: Session, rules: RulesInForce, call: Call, move: Move) -> None:
        stands = standing([policy for _, policy in rules.policies], move.model, move.target)
        if stands.left_alone or is_really_a_prompt(session, call.workspace, move.model):
            return
        enforced = stands.kind != "governed" or any(policy.mode == "enforce" for policy in stands.policies)
        if enforced or rules.problems:
            raise TakenBack(f"{in_words(move)}; only an approved version may take its place", move.target)

    def standing(self, rules: RulesInForce, workspace: str, model: str, target: str) -> Standing:
        """Return how a target of a model stands; what really is a prompt is left alone."""
        stands = standing([policy for _, policy in rules.policies], model, target)
        if stands.left_alone:
            return stands
        with self.sessions.reading() as session:
            prompt = is_really_a_prompt(session, workspace, model)
        return Standing(model, target, "exempt", (), f"{model} is a prompt.") if prompt else stands

    def _refuse_spelling(self, call: Call, model: str, target: str) -> None:
        """Refuse a target that is written otherwise than policies write it: there would be two of it, one ungated."""
        try:
            canonical = canonical_target(target)
        except ValueError as error:
            self.refuse(call, str(error), target=target)
        if canonical != target:
            self.refuse(call, f"{target} of {model} is written {canonical}", target=target)

    @contextmanager
    def _recorded(self, call: Call) -> Iterator[None]:
        """Record that a call was taken back, which the transaction that was rolled back cannot say itself."""
        try:
            yield
        except TakenBack as back:
            self.refuse(call, back.sentence, target=back.target)

    def _record_refusal(self, call: Call, sentence: str, target: str | None) -> None:
        with self.sessions.transaction() as session:
            head = ledger.lock(session.connection())
            append(session, head, call, self.rules(), [refusal_record(call, sentence, target)], self.clock())

    def restate(self, session: Session, workspace: str, moves: Iterable[Move], *, new: bool = True) -> None:
        """Say on the pages of versions what nobody may overlook of them, and no longer what is over.

        Args:
            session: of the transaction in which it happened, after it is in the ledger.
            workspace: of the models.
            moves: name the versions, before and after.
            new: whether there may be something to say where nothing was said before.
        """
        from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

        for model, version in sorted({(each.model, one) for each in moves for one in (each.before, each.after) if one}):
            row = session.get(SqlModelVersion, (workspace, model, int(version)))
            if row is not None and (new or NOTICE in (row.description or "")):
                said = self.notices(notices_of(session, workspace, model, version))
                row.description = with_notice(row.description, said)

    def _describe(self, session: Session, call: Call, decision: Decision) -> None:
        from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

        request = decision.case.request
        row = session.get(SqlModelVersion, (call.workspace, request.model, int(request.version or 0)))
        if row is not None:
            row.description = with_decision(row.description, self.table(decision))


def _known(call: Call) -> str | None:
    """Return who calls, where the server knows it."""
    return call.actor.name if call.actor.verified else None


def _take_flag_away(session: Session, workspace: str, basis: Basis) -> None:
    """Delete the short tag of a flag that a new approval has closed."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag

    row = session.get(SqlModelVersionTag, (workspace, FLAG, basis.model, int(basis.version or 0)))
    if row is not None:
        session.delete(row)
