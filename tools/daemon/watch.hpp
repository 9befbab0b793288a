// What a node's log says of its copies: a neighbour lost or back, blocks short of copies and whole again; and how fast
// copies are made, for whoever asks how long it will take.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/env.hpp"
#include "daemon/peer_stack.hpp"

namespace tools {

class Watch {
  public:
    Watch(base::NodeEnv env, PeerStack& stack) : env_{env}, stack_{stack} {}

    /// For as long as the node runs.
    base::Task<void> run();
    /// Of copies sent to others, over the last minute.
    [[nodiscard]] std::uint64_t repair_bytes_per_second() const;

  private:
    void look();
    void look_at_neighbours();
    void look_at_copies();

    struct Sample {
        base::TimePoint at;
        std::uint64_t bytes = 0;
    };
    base::NodeEnv env_;
    PeerStack& stack_;
    std::map<base::NodeId, std::string> neighbours_;  // and where they are
    std::map<base::NodeId, std::string> lost_;
    std::optional<base::TimePoint> short_since_;
    std::deque<Sample> sent_;
};

}  // namespace tools
