"""`sonomyo users`: local accounts. A password is asked for, or read from standard input; arguments are seen by others."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from service.access import UserChange, role_named
from service.bootstrap import Service
from service.commands.terminal import console
from service.core.passwords import SHORTEST
from service.core.wording import moment
from service.errors import InputRejected

if TYPE_CHECKING:
    from service.adapters.users import LocalUsers

_ACTOR = "command line"

users = typer.Typer(help="Local accounts: people who sign in, and who alone can sign reports.", no_args_is_help=True)
Login = Annotated[str, typer.Argument(help="The name that the person signs in with.")]
RoleName = Annotated[str, typer.Option("--role", help="viewer, radiologist or administrator.")]
FromStandardInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    users.command("add")(add_user)
    users.command("list")(list_users)
    users.command("set-role")(set_role)
    users.command("set-password")(set_password)
    users.command("disable")(disable_user)
    users.command("enable")(enable_user)
    app.add_typer(users, name="users")


def add_user(
    context: typer.Context,
    login: Login,
    full_name: Annotated[str, typer.Option(help="As a signature shows it, such as 'Dr Anna Kowalska'.")],
    role: RoleName,
    password_stdin: FromStandardInput = False,  # noqa: FBT002 - a command-line switch
) -> None:
    """Make an account; asks for its password twice."""
    wanted, accounts = role_named(role), _accounts(context)
    password = _password(from_standard_input=password_stdin)
    made = accounts.add(login=login, full_name=full_name, role=wanted, password=password, actor=_ACTOR)
    typer.echo(f"{made.login}: {made.role.value}, id {made.user_id}")


def list_users(context: typer.Context) -> None:
    """Every account; those that are disabled stay on record."""
    table = Table("Login", "Full name", "Role", "Id", "Created", "Last signed in", "Password changed", "Disabled")
    for user in _accounts(context).list():
        times = (user.created_at, user.last_signed_in_at, user.password_changed_at, user.disabled_at)
        shown = ("" if time is None else moment(time) for time in times)
        table.add_row(user.login, user.full_name, user.role, user.user_id, *shown)
    console().print(table)


def set_role(context: typer.Context, login: Login, role: Annotated[str, typer.Argument(help="The new role.")]) -> None:
    """Give an account another role; its sessions end."""
    _change(context, login, UserChange(role=role_named(role)))


def set_password(
    context: typer.Context,
    login: Login,
    password_stdin: FromStandardInput = False,  # noqa: FBT002 - a command-line switch
) -> None:
    """Give an account another password; its sessions end, and so does a pause after failed attempts."""
    accounts = _accounts(context)
    user = accounts.find(login)
    change = UserChange(password=SecretStr(_password(from_standard_input=password_stdin)))
    accounts.change(user.user_id, change, actor=_ACTOR)


def disable_user(context: typer.Context, login: Login) -> None:
    """End an account's sessions and let it sign in no more."""
    _change(context, login, UserChange(disabled=True))


def enable_user(context: typer.Context, login: Login) -> None:
    """Let a disabled account sign in again."""
    _change(context, login, UserChange(disabled=False))


def _change(context: typer.Context, login: str, change: UserChange) -> None:
    accounts = _accounts(context)
    accounts.change(accounts.find(login).user_id, change, actor=_ACTOR)


def _accounts(context: typer.Context) -> "LocalUsers":
    from service.adapters.passwords import Passwords
    from service.adapters.users import LocalUsers

    return LocalUsers(engine=Service(context.obj).engine, passwords=Passwords())


def _password(*, from_standard_input: bool) -> str:
    """Asked for twice on a terminal. Raises InputRejected when nobody can be asked."""
    if from_standard_input:
        return _first_line(sys.stdin.buffer.readline())
    if not sys.stdin.isatty():
        raise InputRejected("There is no terminal to ask for a password: give it with --password-stdin.", reason="password")
    asked = f"Password (at least {SHORTEST} characters)"
    password: str = typer.prompt(asked, hide_input=True, confirmation_prompt="The same again")
    return password


def _first_line(line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputRejected("The password on standard input is no text in UTF-8.", reason="password") from None
