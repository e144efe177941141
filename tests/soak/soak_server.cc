// corod that says, into the file COROD_SOAK_MEMORY, how many bytes it has allocated and not freed. What is resident
// would show how the sanitizers' allocator keeps what was freed, too.

#include <fcntl.h>
#include <sanitizer/allocator_interface.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "server/catalog/catalog.h"
#include "server/server.h"

namespace corod {
namespace {

constexpr std::chrono::milliseconds kInterval(100);

class Tells {
 public:
  explicit Tells(const char* path) : file_(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) {
    if (file_ < 0) {
      std::perror(path);
      std::exit(2);
    }
    thread_ = std::thread([this] {
      while (!ended_) {
        const std::string line = std::to_string(__sanitizer_get_current_allocated_bytes()) + "\n";
        if (pwrite(file_, line.data(), line.size(), 0) < 0) std::perror("COROD_SOAK_MEMORY");
        std::this_thread::sleep_for(kInterval);
      }
    });
  }
  ~Tells() {
    ended_ = true;
    thread_.join();
    close(file_);
  }
  Tells(const Tells&) = delete;
  Tells& operator=(const Tells&) = delete;

 private:
  const int file_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace
}  // namespace corod

int main(int argc, char** argv) {
  const char* path = std::getenv("COROD_SOAK_MEMORY");
  if (!path) {
    std::fputs("COROD_SOAK_MEMORY must name a file\n", stderr);
    return 2;
  }
  const corod::Tells tells(path);
  corod::Catalog catalog;
  corod::AddBuiltinCoroutines(catalog);
  return corod::RunServer(argc, argv, catalog);
}
