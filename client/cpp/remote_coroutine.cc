#include "client/cpp/remote_coroutine.h"

#include <utility>

#include "client/cpp/codec.h"

namespace corod::client {
namespace {

template <typename Response>
absl::StatusOr<Outcome> OutcomeOf(const absl::StatusOr<Response>& response) {
  if (!response.ok()) return response.status();
  return Decode(response->outcome());
}

}  // namespace

RemoteCoroutine::RemoteCoroutine(std::shared_ptr<Connection> connection, std::string session_id)
    : connection_(std::move(connection)), session_id_(std::move(session_id)) {}

absl::StatusOr<Outcome> RemoteCoroutine::Next() { return Send(Value()); }

absl::StatusOr<Outcome> RemoteCoroutine::Send(const Value& value) {
  absl::StatusOr<v1::Value> encoded = Encode(value);
  if (!encoded.ok()) return encoded.status();
  v1::SendRequest request;
  request.set_session_id(session_id_);
  *request.mutable_value() = *std::move(encoded);
  return OutcomeOf(connection_->Send(std::move(request)));
}

absl::StatusOr<Outcome> RemoteCoroutine::Throw(const Exception& exception) {
  absl::StatusOr<v1::Exception> encoded = Encode(exception);
  if (!encoded.ok()) return encoded.status();
  v1::ThrowRequest request;
  request.set_session_id(session_id_);
  *request.mutable_exception() = *std::move(encoded);
  return OutcomeOf(connection_->Throw(std::move(request)));
}

absl::StatusOr<Outcome> RemoteCoroutine::Close() {
  v1::CloseRequest request;
  request.set_session_id(session_id_);
  return OutcomeOf(connection_->Close(std::move(request)));
}

}  // namespace corod::client
