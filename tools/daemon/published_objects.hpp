// The objects that commands publish on this node, and what is sent to them.
//
// Apart from what the node publishes of its own accord (blocks off their place): commands neither take that back nor
// get its messages. In memory: a new process publishes nothing until it is told to.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>

#include "base/env.hpp"
#include "tapestry/node.hpp"

namespace tools {

class PublishedObjects {
  public:
    /// Takes the messages of `location`, which outlives this; as do the doors.
    PublishedObjects(base::NodeEnv env, tapestry::Node& location);

    using Answer = base::Task<base::Result<nlohmann::json>>;
    /// When all who will be asked have heard of it, or at the deadline: {"object", "published", "confirmed"}. Errors:
    /// exists (the node publishes it of its own accord), busy (too many; or taken back meanwhile).
    Answer publish(base::Guid object, base::TimePoint deadline);
    /// The same. What was taken back lately is taken back again: somebody may not have heard it. Errors: not_found (no
    /// command published it), busy (published anew meanwhile).
    Answer unpublish(base::Guid object, base::TimePoint deadline);

  private:
    Answer heard(base::Guid object, base::TimePoint deadline, bool published);
    base::Task<bool> take(base::Guid object, base::Address asker, base::SharedBytes message);
    bool may_write();

    base::NodeEnv env_;
    tapestry::Node& location_;
    std::set<base::Guid> objects_;
    base::TimePoint since_;  // messages are counted
    std::size_t came_ = 0;
};

}  // namespace tools
