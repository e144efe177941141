#include "tests/unit/base/temporary_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace corod {

TemporaryFolder::TemporaryFolder() : path_(testing::TempDir() + "/corod-auth-XXXXXX") {
  if (!mkdtemp(path_.data())) std::abort();
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

std::string TemporaryFolder::Put(std::string_view name, std::string_view content) const {
  const std::string path = Path(name), made = path + ".new";
  std::ofstream(made, std::ios::binary) << content;
  std::filesystem::rename(made, path);
  return path;
}

void TemporaryFolder::Remove(std::string_view name) const { std::filesystem::remove(Path(name)); }

}  // namespace corod
