// corod with its journal on a faulty file system, as the environment says:
//   COROD_FAULT_SEED          chooses what is chosen at random
//   COROD_POWER_CUT           1: the end of the process is a loss of power
//   COROD_FAILURE_PROBABILITY of each append and sync
//   COROD_DISK_FULL_WHILE     a path: while there is a file, the disk is full

#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "server/catalog/catalog.h"
#include "server/server.h"
#include "tests/faulty_fs/faulty_file_system.h"

namespace corod {
namespace {

std::string Setting(const char* name, const char* otherwise) {
  const char* set = std::getenv(name);
  return set ? set : otherwise;
}

// Fills and empties the disk. Runs until the process ends.
void KeepFullWhile(const std::string& path, FaultyFileSystem& disk) {
  while (true) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
      disk.FailWrites();
    } else {
      disk.AllowWrites();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

int Run(int argc, char** argv) {
  FaultyFileSystem::Options options;
  options.seed = std::stoull(Setting("COROD_FAULT_SEED", "0"));
  options.power_cut = Setting("COROD_POWER_CUT", "0") == "1";
  const auto disk = std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(), options);
  // From the first writes on a directory cannot even be opened: that is another test's.
  disk->SetFailureProbability(std::stod(Setting("COROD_FAILURE_PROBABILITY", "0")));
  if (const std::string path = Setting("COROD_DISK_FULL_WHILE", ""); !path.empty()) {
    // Its thread takes no signals; the server's are for others.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread([path, disk] { KeepFullWhile(path, *disk); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  Catalog catalog;
  AddBuiltinCoroutines(catalog);
  return RunServer(argc, argv, catalog, {.file_system = disk});
}

}  // namespace
}  // namespace corod

int main(int argc, char** argv) { return corod::Run(argc, argv); }
