#include "client/cli/help.h"

namespace corod::cli::help {

const char kMain[] = R"(Values are JSON:
  10                        an integer (of 64 bits; larger ones are refused)
  10.0                      a number
  true, null, [1, 2], {"a": 1}   maps keep their order
  hello                     a text: whatever is not JSON
  '"10"'                    a text that would be JSON without the quotes
  '{"$bytes": "aGk="}'      bytes, as base64
  '{"$number": "nan"}'      nan, inf or -inf
  '{"$exception": {"type": "KeyError", "arguments": ["k"]}}'   an exception; also message, cause, context, notes, bases
  '{"$message": {"type_url": "...", "value": "base64"}}'       a protobuf message
  '{"$map": {"$bytes": "x"}}'   a map as it is, where its first key would mean one of these
What begins with [, { or " has to be JSON. A value that begins with a minus and is no number goes after --.
Values are printed in the same form.

What a step gives, as text:
  VALUE                     the coroutine yielded it
  returned VALUE            it returned, or was closed
  ValueError: ...           on stderr: it raised; with its causes, as Python prints them
With --output json, one object a line: {"step": 3, "yielded": 20.0, "replayed": false}, or "returned", or "raised".

A server that is not on this machine is reached with TLS (--tls or --tls-ca), and wants to know who calls: your token is in the
file that --token-file names, or your certificate in --tls-cert. COROD_SERVER, COROD_TLS_CA and COROD_TOKEN_FILE in the
environment stand for the flags of these names. Whoever runs the server can do without: --server unix:DATA_DIR/admin.sock.

Exit status:
  0  fine
  1  the coroutine raised an exception
  2  wrong usage
  3  the service failed: "coroctl: NOT_FOUND SESSION_NOT_FOUND: ..."

Examples:
  coroctl catalog
  id=$(coroctl create averager --prime | cut -d' ' -f1)
  coroctl send "$id" 10
  coroctl close "$id"
  tr -s '[:space:]' '\n' < book.txt | coroctl pipe token_counter --last
  coroctl pipe 'csv_parser header=true each=true | select field=price | averager' < sales.csv
  coroctl define discount.lua
  coroctl bench --mode drive
  coroctl --server corod.example:7117 --tls --token-file ~/.corod-token list

coroctl COMMAND --help tells more of each.)";

const char kCreate[] =
    R"(Prints one line: the session's id, its state, and with --prime what came of it, as `coroctl --help` says
(with --if-exists return, "existed" where that is so). Arguments are values, as `coroctl --help` says.

A COROUTINE with a | in it is a line of stages: a `pipeline`, whose first stage is sent what you send, each other one what the one
before it yields. A stage is a coroutine's name and its arguments, as name=value; what has spaces or | in it is in quotes. With
each=true a stage sends the items of its lists one by one. Arguments behind the line are the pipeline's own: collect=true.

Examples:
  coroctl create averager
  coroctl create averager --prime --id room-12 --label floor=3
  coroctl create sliding_window size=3 --prime --idle-timeout 10m
  coroctl create csv_parser 'delimiter=;' header=true --prime
  id=$(coroctl create averager --prime | cut -d' ' -f1)
  coroctl create averager --prime --id room-12 --if-exists return
  coroctl create 'json_lines each=true | map expression="value.price * value.count" | averager' --prime)";

const char kSend[] =
    R"(VALUE is written as `coroctl --help` says. A coroutine that has not started takes no value but null: create it with --prime,
or start it with `coroctl next`.

Examples:
  coroctl send room-12 10
  coroctl send room-12 21.5 --expected-step 3
  coroctl send words hello
  coroctl send words '"10"'                          # a text
  coroctl send words '{"id": 7, "tags": ["a", "b"]}'
  coroctl send room-12 -5
  coroctl send words -- --not-an-option)";

const char kNext[] = R"(The same as sending null; it also starts a coroutine that has not started.

Examples:
  coroctl next room-12
  coroctl next room-12 --output json)";

const char kThrow[] =
    R"(TYPE is the name of the exception's class. With one ARGUMENT, that is its message. A class that is not built in derives from
Exception, unless --base names others.

Examples:
  coroctl throw room-12 ValueError "out of range"
  coroctl throw room-12 KeyError name
  coroctl throw room-12 mycompany.QuotaExceeded 5 user-7 --base LookupError
  coroctl throw room-12 '{"$exception": {"type": "IOError", "cause": {"type": "KeyError", "arguments": ["k"]}}}')";

const char kClose[] =
    R"(Runs the coroutine's cleanup and prints what it returned. One that ignores its close goes on and raises "generator ignored
GeneratorExit"; with --force it is dropped then.

Examples:
  coroctl close room-12
  coroctl close room-12 --force)";

const char kDelete[] = R"(Closes the coroutine and prints what it returned; afterwards the id is free.

Examples:
  coroctl delete room-12
  coroctl delete room-12 --force
  coroctl delete room-12 --uid "$uid"     # not if somebody else has taken the id since)";

const char kGet[] = R"(Looks without touching: it does not count as use.

With --at, what came after that step is left out; the step must still be kept.

Examples:
  coroctl get room-12
  coroctl get room-12 --at 3
  coroctl get room-12 --output json)";

const char kList[] =
    R"(One line for each session, in the order of ids: id, coroutine, state, steps, when it was last used, whether it is ephemeral,
durable or (durable and not in memory) asleep, labels, its problem. With --output json, one object for each, with everything
that get shows.

Examples:
  coroctl list
  coroctl list --coroutine averager --state suspended
  coroctl list --label floor=3 --limit 20
  coroctl list --problem
  coroctl list --output json)";

const char kWatch[] =
    R"(Prints a line for each step: its number, the command, and what came of it, a yielded value or what was returned or raised:
  1  create -> null
  2  next -> 0
  3  send 20.5 -> 20.5
  4  throw KeyError: "'k'" -> 20.5
  5  close (idle) -> returned 20.5
A close says in brackets who closed it, unless that was a client. With --json, one object a line, also with the time and the
request id: {"step": 3, "time": "...", "send": 20.5, "yielded": 20.5}.

It ends after the step that finishes the session, and on Ctrl-C. When the server is away, it waits for it for about a minute
and goes on without a gap. Watching does not count as use.

Examples:
  coroctl watch room-12
  coroctl watch room-12 --from 0          # what is kept first
  coroctl watch room-12 --from 7 --time
  coroctl watch room-12 --json | jq .yielded)";

const char kHistory[] =
    R"(Prints the steps that are kept as `coroctl watch --help` says, up to the last one there is now. On stderr it says how many
are no longer kept. An ephemeral session may keep none.

Examples:
  coroctl history room-12
  coroctl history room-12 --from 3 --to 5
  coroctl history room-12 --json)";

const char kFork[] =
    R"(The new session has the same past up to that step and a future of its own. Prints one line, as create does: the new
session's id, its state, and what came of its last step.

Examples:
  coroctl fork room-12
  coroctl fork room-12 what-if --at 3 --label of=room-12)";

const char kExport[] =
    R"(The file holds everything that `coroctl import` needs. It appears under its name when it is whole: an export that breaks leaves
nothing. Only durable sessions can be exported.

Examples:
  coroctl export room-12 -o room-12.corod
  coroctl export room-12 | coroctl --server other:7117 import)";

const char kImport[] =
    R"(Prints one line, as create does: the new session's id, its state, and what came of its last step.

Examples:
  coroctl import room-12.corod
  coroctl import room-12.corod --id room-13
  coroctl export room-12 | coroctl --server other:7117 import -)";

const char kCatalog[] =
    R"(Without a NAME: one line for each coroutine, its name, newest version and summary. With one: all there is to know. Those
that were defined at run time have their language behind the summary, and their source is shown, too.

Examples:
  coroctl catalog
  coroctl catalog discount --source > discount.lua
  coroctl catalog csv_parser
  coroctl catalog csv_parser --output json)";

const char kDefine[] =
    R"(FILE holds a script that returns a function, the coroutine's body: yield(v) hands out a value and gives what is sent next
(docs/authors.md tells all of it). From then on it can be created like any other coroutine, under the name of the file, without
.lua, or --name. Prints the name and the version, and "existed" if the newest version has that very source; any other source is
the next version. Sessions keep the version that they were created with. What is wrong with the source is told with its line.

`coroctl try` and `coroctl verify` run a script before that, without a server.

Examples:
  coroctl define discount.lua
  coroctl define discount.lua --documentation discount.md
  coroctl define - --name discount < discount.lua)";

const char kUndefine[] = R"(Sessions that run it go on; it can no longer be created.

Examples:
  coroctl undefine discount)";

const char kTry[] =
    R"(Runs a script that is not defined yet, as the server would: creates it with the arguments, starts it, sends it each line of
stdin, prints what each send yields, and closes it at the end of stdin. How lines are sent and what is printed is told by
`coroctl pipe --help`. The script may delegate to the coroutines that corod comes with. Its random numbers are always the same,
unless --seed is another; its time is the time.

Examples:
  printf '10\n20\n' | coroctl try mean.lua
  coroctl try discount.lua percent=10 < prices.txt)";

const char kVerify[] =
    R"(A script's session comes back by running its commands again, so it must answer them in the same way. Makes coroutines of the
script, with the arguments, and sends them random commands and, if stdin is no terminal, its lines (as `coroctl pipe` sends
them), in their order and at random. A script that keeps its `state` is restarted with it before each command, and compared
with one that is not. Any other is run twice. What differs first is shown with the commands that lead there, and the exit status
is 1.

Examples:
  coroctl verify discount.lua percent=10 < prices.txt
  coroctl verify mean.lua --commands 100000 --seed 2 < /dev/null)";

const char kPipe[] =
    R"(Creates a session and starts it, sends it each line of stdin, and prints what each send yields, as `coroctl --help` says.
In the end, also on Ctrl-C and on errors, it closes the session and prints what the close returns, unless that is null.

A line is sent as text, bytes or JSON: as the catalog says, or as --as says. (JSON by the rules of `coroctl --help`: what is not
JSON is a text.) It is sent without its line end (\n or \r\n). A coroutine that takes chunks of text (its `Sends` in the
catalog begins with "chunks", as that of csv_parser) gets the line ends too, and a long line in pieces. --keep-ends does
this for any other, and --chunks sends blocks of bytes as they come instead of lines. Of a line of stages (`coroctl create
--help`) the first one counts.

When the coroutine returns or raises, pipe stops there and says at which line. Lines that were under way may have been sent
after it; the coroutine did not see them. With --last the server does not send the yields in between.

Examples:
  seq 1 100 | coroctl pipe averager
  tr -s '[:space:]' '\n' < book.txt | coroctl pipe token_counter --last
  coroctl pipe csv_parser header=true < data.csv
  coroctl pipe csv_parser --chunks < data.csv
  coroctl pipe 'csv_parser header=true each=true | select field=price' collect=true < data.csv
  coroctl pipe smtp_receiver --first
  tail -f app.log | coroctl pipe token_counter --idle-timeout 8h)";

const char kBench[] =
    R"(Makes sessions of its own, starts them, sends to them for half a second, then measures: how many commands a second were
answered, and how long an answer took: what 50, 90, 99 and 99.9 % of them did not exceed, and the longest. In the end, also on
Ctrl-C and on errors, it deletes its sessions. On Ctrl-C it shows what it had measured.

It has one connection, and keeps as many calls or messages under way as --outstanding says: the next one begins when one was
answered. A latency is that of a call, or with drive of a whole message. With --rate calls begin at that rate, whatever becomes of
those before, and each one's time counts from the moment when it was due: that is what users see of a server at that load.

It takes a thread or two of the machine that it runs on. Each command sends the same value, which the coroutine must answer
with a yield.

Examples:
  coroctl bench
  coroctl bench --ephemeral --duration 30s
  coroctl bench --mode drive --batch 1000 --sessions 100000
  coroctl bench --rate 5000 --json | jq '.latency_ms["p99"]'
  coroctl bench line_splitter --value '"one\ntwo"')";

const char kHealth[] =
    R"(Prints SERVING and returns 0 if the server takes calls. Anything else is one line on stderr and the status 1: it is ending
(NOT_SERVING), does not answer, or does not know the service. Needs no token. For whatever watches over the server.

Examples:
  coroctl health
  coroctl --server corod.example:7117 --tls-ca ca.crt health
  coroctl health --service corod.v1.CoroutineService)";

const char kLogLevel[] =
    R"(Prints a line for each area: its name and its level. With AREA and LEVEL it changes that first, until the server ends; the AREA
all stands for each of them. Takes the role admin, or the server's own socket.

Examples:
  coroctl log-level
  coroctl log-level journal debug
  coroctl --server unix:corod-data/admin.sock log-level all info)";

}  // namespace corod::cli::help
