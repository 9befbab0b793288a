// Where things lie in the data directory: known here and nowhere else.
#pragma once

#include <string>

#include "base/result.hpp"
#include "cli/files.hpp"
#include "config/settings.hpp"

namespace tools {

constexpr const char* kMarksDirectory = "marks";  ///< below client()

/// DIR/owner.key   the owner's key (docs/formats/keyfile.md)
/// DIR/node/       what this machine keeps for its network, or for itself alone: blocks, registers, membership
/// DIR/users       locked by each command that uses this machine's own store
/// DIR/node.sock   where the running node takes commands
/// DIR/client/     what commands remember: high-water marks, deduplication caches; all of it can be rebuilt
struct DataDirectory {
    std::string path;
    std::string other_socket = {};  ///< of a node that has another data directory; "": none

    [[nodiscard]] std::string node() const { return join_path(path, "node"); }
    [[nodiscard]] std::string socket() const {
        return other_socket.empty() ? join_path(path, "node.sock") : other_socket;
    }
    [[nodiscard]] std::string users() const { return join_path(path, "users"); }
    [[nodiscard]] std::string client() const { return join_path(path, "client"); }
};

[[nodiscard]] inline DataDirectory data_directory(const Settings& settings) {
    return {settings.get("dir"), settings.get("socket")};
}
/// Before it is made: Errc::bad_argument if no node could ever listen there. A directory that is there stays usable.
[[nodiscard]] base::Result<void> check_new(const DataDirectory& directory);
/// True if a process listens on this socket.
[[nodiscard]] bool somebody_listens(const std::string& socket);
/// True if something was kept here under an owner's key: a volume was opened, or a node of a network of one has blocks.
[[nodiscard]] bool holds_archives(const DataDirectory& directory);

}  // namespace tools
