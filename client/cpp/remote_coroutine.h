#ifndef COROD_CLIENT_CPP_REMOTE_COROUTINE_H_
#define COROD_CLIENT_CPP_REMOTE_COROUTINE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/cpp/connection.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"

namespace corod::client {

// A coroutine that lives on a server, as Python's generator object is used: next, send, throw and close.
//
//     RemoteCoroutine mean = client.Attach("mean-of-today");
//     absl::StatusOr<Outcome> outcome = mean.Send(20);
//     if (!outcome.ok()) ...                                  // the service failed: ErrorOf(outcome.status()).reason
//     if (outcome->kind == Outcome::Kind::kYielded) Use(outcome->value);
//
// What the coroutine yields, returns or raises is an Outcome; a status that is not OK speaks of the service alone. The
// methods block until the command had its turn. Each is retried as Connection says, with one request_id for all its
// attempts, so a step happens once.
//
// A handle: copies stand for the same coroutine, and a coroutine lives on when its handles are gone. Safe from many
// threads; commands that are under way at one time take their turns in any order.
class RemoteCoroutine {
 public:
  RemoteCoroutine(std::shared_ptr<Connection> connection, std::string session_id);

  const std::string& session_id() const { return session_id_; }

  // Resumes it with null, and starts one that has not started.
  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<Outcome> Next();

  // Resumes it with `value`. NOT_PRIMED if it has not started and `value` is not null.
  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<Outcome> Send(const Value& value);

  // Raises `exception` where it is suspended.
  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<Outcome> Throw(const Exception& exception);

  // Raises GeneratorExit where it is suspended, so that its cleanup runs. kReturned: it is finished. kRaised with the
  // RuntimeError "generator ignored GeneratorExit": it goes on.
  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<Outcome> Close();

 private:
  std::shared_ptr<Connection> connection_;
  std::string session_id_;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_REMOTE_COROUTINE_H_
