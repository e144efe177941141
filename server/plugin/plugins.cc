#include "server/plugin/plugins.h"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "server/coroutine/errors.h"
#include "server/plugin/elf_notes.h"
#include "server/plugin/stamp.h"

namespace corod {
namespace {

// corod::LiveFrames(), which is in whatever makes coroutines.
constexpr const char* kEngineSymbol = "_ZN5corod10LiveFramesEv";

// What a stamp says (stamp.h).
class Stamp {
 public:
  explicit Stamp(std::string_view text) {
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      const std::size_t space = std::min(line.find(' '), line.size());
      fields_.emplace(line.substr(0, space), line.substr(std::min(space + 1, line.size())));
    }
  }

  // "corod 0.1.0 (SDK 1, headers 5c1f9a0e77d2b364, layout 9f2c41aa), clang 19, libstdc++ 12".
  std::string Describe() const {
    return "corod " + Field("corod") + " (SDK " + Field("sdk") + ", headers " + Field("headers") + ", layout " +
           Field("layout") + "), " + Field("compiler") + ", " + Field("library");
  }
  // Everything but the release, which may differ where the rest does not.
  bool Fits(const Stamp& other) const { return WithoutRelease() == other.WithoutRelease(); }

 private:
  using Fields = std::map<std::string, std::string, std::less<>>;

  std::string Field(std::string_view key) const {
    const auto found = fields_.find(key);
    return found == fields_.end() ? "unknown" : found->second;
  }
  Fields WithoutRelease() const {
    Fields fields = fields_;
    fields.erase("corod");
    return fields;
  }

  Fields fields_;
};

// What is wrong with the file's form or its stamp; empty: it may be loaded.
std::string FaultOf(const std::string& file) {
  std::error_code error;
  if (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error)) return "it is no file";
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::string("it cannot be read: ") + std::strerror(errno);
  const std::string content{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const std::optional<std::vector<ElfNote>> notes = ElfNotesOf(content, "corod");
  if (!notes) return "it is no shared library for this machine, or not all of one";
  if (notes->empty()) {
    return "it is no corod plugin, for none of its sources includes corod/plugin.h; build it with corod_add_coroutines "
           "(docs/authors.md)";
  }
  const Stamp own({internal::kStampText.data(), internal::kStampText.size()});
  for (const ElfNote& note : *notes) {
    if (note.type != internal::StampNote::kType) return "it was built with a corod that is too different from this one";
    const Stamp stamp(note.content);
    if (stamp.Fits(own)) continue;
    return "it was built with " + stamp.Describe() + "; this server wants " + own.Describe() +
           ": build it again with the SDK that was installed with this corod (docs/authors.md)";
  }
  return "";
}

// Why loading failed.
std::string LinkerFault() {
  const char* const said = dlerror();
  return said ? said : "nothing is known of why";
}

}  // namespace

Plugins::Plugins(Catalog& catalog) : catalog_(catalog) {
  for (const Definition* definition : catalog.All()) own_.insert(definition->name);
}

absl::StatusOr<std::vector<const Definition*>> Plugins::Load(const std::string& file) {
  const auto refuse = [&file](const std::string& why) {
    std::string line = "plugin " + file + ": " + why;
    std::replace(line.begin(), line.end(), '\n', ' ');
    return absl::InvalidArgumentError(line);
  };
  const std::string fault = FaultOf(file);
  if (!fault.empty()) return refuse(fault);
  // With a slash in its name, or it would be looked for where the system has its libraries.
  void* const library = dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return refuse("it cannot be loaded: " + LinkerFault());
  // dlsym looks for it in the library alone. A body would ask that engine what only ours knows, the step that runs say.
  if (dlsym(library, kEngineSymbol)) {
    return refuse("it holds an engine of its own; corod::coroutine and corod::catalog are for tests, not for plugins");
  }
  const auto add = reinterpret_cast<void (*)(Catalog&)>(dlsym(library, "corod_add_coroutines"));
  if (!add) return refuse("it cannot be used: " + LinkerFault());

  // Into a catalog of its own first, which tells what is from here.
  Catalog registered;
  try {
    add(registered);
  } catch (const std::exception& e) {
    return refuse(e.what());
  } catch (...) {
    return refuse(CurrentException()->message());
  }
  if (registered.All().empty())
    return refuse("it registers no coroutine, for none of its sources has COROD_COROUTINES");
  std::vector<const Definition*> added;
  for (const Definition* definition : registered.All()) {
    const std::string called = "coroutine '" + definition->name + "'";
    if (own_.contains(definition->name)) return refuse(called + " is one of corod's own: give it another name");
    const auto [place, is_new] = loaded_.try_emplace({definition->name, definition->version}, file);
    if (!is_new) {
      return refuse(called + ": version " + std::to_string(definition->version) + " is there already, of plugin " +
                    place->second);
    }
    catalog_.Add(*definition);
    added.push_back(catalog_.Find(definition->name, definition->version));
  }
  return added;
}

}  // namespace corod
