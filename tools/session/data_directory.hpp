// Where things lie in the data directory: known here and nowhere else.
#pragma once

#include <string>

#include "cli/files.hpp"

namespace tools {

constexpr const char* kMarksDirectory = "marks";  ///< below client()

/// DIR/owner.key   the owner's key (docs/formats/keyfile.md)
/// DIR/node/       what this machine keeps for its network, or for itself alone: blocks, registers, membership
/// DIR/node.sock   where the running node takes commands
/// DIR/client/     what commands remember: high-water marks, deduplication caches; all of it can be rebuilt
struct DataDirectory {
    std::string path;

    [[nodiscard]] std::string node() const { return join_path(path, "node"); }
    [[nodiscard]] std::string socket() const { return join_path(path, "node.sock"); }
    [[nodiscard]] std::string client() const { return join_path(path, "client"); }
};

/// True if a process listens on this socket.
[[nodiscard]] bool somebody_listens(const std::string& socket);
/// True if something was kept here under an owner's key: a volume was opened, or a node of a network of one has blocks.
[[nodiscard]] bool holds_archives(const DataDirectory& directory);

}  // namespace tools
