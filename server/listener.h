#ifndef COROD_SERVER_LISTENER_H_
#define COROD_SERVER_LISTENER_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/flags.h"
#include "server/rpc/access.h"

// How the server listens: to whom, and what a connection may ask of it.
namespace corod {

// OK, or why the server is not to listen so: it could be reached from other machines, and does not encrypt or does not
// ask who calls, and nobody has said that this is meant.
absl::Status CheckExposure(const Flags& flags);

// What the address is listened on with. With TLS the files are looked at every second, so that renewed ones are used
// for new connections without a restart; and calls of gRPC's own services are held to `access`: reflection to any
// role, channelz to `admin`; health is for everybody. REQUIRES: the files are good (CheckTlsFiles). Null: gRPC does not
// take them all the same.
std::shared_ptr<grpc::ServerCredentials> MakeCredentials(const Flags::Tls& tls, const rpc::Access& access);

// Whether gRPC's own services, other than health, may be served: they are if everybody may do everything, or if calls
// of them can be held to something.
bool ServesReflection(const Flags& flags, const rpc::Access& access);

// To be registered where reflection is not to be served: takes its place, since gRPC brings that to each server of a
// process that is linked with it.
class NoReflection final : public grpc::Service {
 public:
  NoReflection();
};

// Limits of a connection, and how long it may be idle, be quiet, and last.
void SetConnectionLimits(const Flags::Connections& limits, grpc::ServerBuilder& builder);

}  // namespace corod

#endif  // COROD_SERVER_LISTENER_H_
