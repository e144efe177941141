#include "server/metrics/metrics_server.h"

#include <netdb.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/metrics/exposition.h"

namespace corod::metrics {
namespace {

class Collector : public prometheus::Collectable {
 public:
  explicit Collector(const Metrics& metrics) : metrics_(metrics) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return metrics::Collect(metrics_); }

 private:
  const Metrics& metrics_;
};

absl::Status CannotListen(const std::string& address, std::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("metrics cannot be served on ", address, ": ", std::string(why), "; give another HOST:PORT"));
}

// The address in numbers, as the HTTP server takes it, so that a name cannot stand for several; it was free just now.
absl::StatusOr<std::string> FindFreeAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon == std::string::npos ? 0 : colon);
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool is_number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (host.empty() || !is_number || std::stoi(port) > 65535 || (host.find(':') != std::string::npos) != in_brackets) {
    return absl::InvalidArgumentError(absl::StrCat("'", address, "' is not an address; write HOST:PORT"));
  }

  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return CannotListen(address, gai_strerror(error));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };

  // The HTTP server does not say why it cannot listen.
  const int tried = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  if (tried < 0) return CannotListen(address, std::strerror(errno));
  const int on = 1;
  static_cast<void>(setsockopt(tried, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
  const bool is_free = bind(tried, found->ai_addr, found->ai_addrlen) == 0 && listen(tried, 1) == 0;
  const int error = errno;
  close(tried);
  if (!is_free) return CannotListen(address, std::strerror(error));

  std::array<char, NI_MAXHOST> number;
  if (getnameinfo(found->ai_addr, found->ai_addrlen, number.data(), number.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return CannotListen(address, "it has no form in numbers");
  }
  return found->ai_family == AF_INET6 ? absl::StrCat("[", number.data(), "]:", port)
                                      : absl::StrCat(number.data(), ":", port);
}

}  // namespace

class MetricsServer::Impl {
 public:
  // Throws what the exposer does.
  Impl(const std::string& address, const Metrics& metrics)
      : collector_(std::make_shared<Collector>(metrics)), exposer_(address, /*num_threads=*/2) {
    exposer_.RegisterCollectable(collector_);
  }
  int port() const { return exposer_.GetListeningPorts().front(); }

 private:
  const std::shared_ptr<Collector> collector_;
  prometheus::Exposer exposer_;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                                    const Metrics& metrics) {
  const absl::StatusOr<std::string> free_address = FindFreeAddress(address);
  if (!free_address.ok()) return free_address.status();
  try {
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::make_unique<Impl>(*free_address, metrics)));
  } catch (const std::exception& error) {
    return CannotListen(address, error.what());
  }
}

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const { return impl_->port(); }

}  // namespace corod::metrics
