#include "client/cpp/client.h"

#include <utility>

#include "client/cpp/codec.h"

namespace corod::client {
namespace {

constexpr std::size_t kImportChunk = std::size_t{64} << 10;

template <typename Proto>
void SetSecondsAndNanos(absl::Duration duration, Proto* proto) {
  absl::Duration rest;
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  if (rest < absl::ZeroDuration()) {  // of a time before 1970
    proto->set_seconds(proto->seconds() - 1);
    rest += absl::Seconds(1);
  }
  proto->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const std::string& address, const ConnectionOptions& options) {
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = OpenChannel(address, options.security);
  if (!channel.ok()) return channel.status();
  absl::StatusOr<std::shared_ptr<Connection>> connection = Connection::Make(*channel, options);
  if (!connection.ok()) return connection.status();
  return Client(*std::move(connection));
}

Client::Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

absl::StatusOr<Created> Client::Create(const CreateOptions& options) {
  v1::CreateRequest request;
  request.set_coroutine(options.coroutine);
  for (const Map::Entry& argument : options.arguments) {
    absl::StatusOr<v1::Value> value = Encode(argument.value);
    if (!value.ok()) return value.status();
    (*request.mutable_arguments())[argument.key] = *std::move(value);
  }
  request.set_session_id(options.session_id);
  request.set_prime(options.prime);
  if (options.idle_timeout) SetSecondsAndNanos(*options.idle_timeout, request.mutable_idle_timeout());
  request.set_durability(options.durability);
  request.set_if_exists(options.if_exists);
  request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  request.set_version(options.version);
  if (options.expire_time) SetSecondsAndNanos(*options.expire_time - absl::UnixEpoch(), request.mutable_expire_time());
  request.set_request_id(options.request_id);
  absl::StatusOr<v1::CreateResponse> response = connection_->Create(std::move(request));
  if (!response.ok()) return response.status();
  Created created{
      .coroutine = Attach(response->session().session_id()), .outcome = std::nullopt, .existed = response->existed()};
  if (response->has_outcome()) {
    absl::StatusOr<Outcome> outcome = Decode(response->outcome());
    if (!outcome.ok()) return outcome.status();
    created.outcome = *std::move(outcome);
  }
  return created;
}

absl::StatusOr<RemoteCoroutine> Client::Fork(const ForkOptions& options) {
  v1::ForkRequest request;
  request.set_session_id(options.session_id);
  if (options.at_step) request.set_at_step(*options.at_step);
  request.set_new_session_id(options.new_session_id);
  request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  request.set_request_id(options.request_id);
  const absl::StatusOr<v1::ForkResponse> response = connection_->Fork(std::move(request));
  if (!response.ok()) return response.status();
  return Attach(response->session().session_id());
}

absl::StatusOr<v1::Session> Client::GetAt(const std::string& session_id, std::uint64_t step) {
  v1::GetRequest request;
  request.set_session_id(session_id);
  request.set_at_step(step);
  absl::StatusOr<v1::GetResponse> response = connection_->Get(request);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_session());
}

absl::StatusOr<RemoteCoroutine> Client::Import(std::istream& file, const std::string& session_id) {
  const absl::StatusOr<v1::ImportResponse> response =
      connection_->Import(session_id, [&file]() -> absl::StatusOr<std::string> {
        std::string chunk(kImportChunk, '\0');
        file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
        if (file.bad() || (file.fail() && !file.eof())) return absl::UnknownError("the file cannot be read");
        chunk.resize(static_cast<std::size_t>(file.gcount()));
        return chunk;
      });
  if (!response.ok()) return response.status();
  return Attach(response->session().session_id());
}

absl::StatusOr<v1::Coroutine> Client::Define(const DefineOptions& options) {
  v1::DefineCoroutineRequest request;
  request.mutable_coroutine()->set_name(options.name);
  request.mutable_coroutine()->set_language(v1::LANGUAGE_LUA);
  request.mutable_coroutine()->set_source(options.source);
  request.mutable_coroutine()->set_documentation(options.documentation);
  absl::StatusOr<v1::DefineCoroutineResponse> response = connection_->DefineCoroutine(request);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_coroutine());
}

absl::Status Client::Remove(const std::string& name) {
  v1::DeleteCoroutineRequest request;
  request.set_name(name);
  return connection_->DeleteCoroutine(request).status();
}

RemoteCoroutine Client::Attach(std::string session_id) const { return {connection_, std::move(session_id)}; }

}  // namespace corod::client
