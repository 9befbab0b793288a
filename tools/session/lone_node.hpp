// A whole node in this process, for a machine that never joined a network: the same PAST over the same store as a
// daemon's, in a ring of one.
#pragma once

#include <memory>
#include <optional>

#include "base/env.hpp"
#include "base/host/host_runtime.hpp"
#include "base/host/local_socket.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "past/local.hpp"
#include "past/node.hpp"
#include "past/segment_store.hpp"
#include "past/storage.hpp"
#include "pastry/alone.hpp"
#include "session/lone_identity.hpp"
#include "session/lone_transport.hpp"

namespace tools {

struct LoneNodeConfig {
    std::uint64_t capacity_bytes = 0;                   ///< 0: what the device has room for
    base::Duration patience = std::chrono::minutes{1};  ///< with who has the store and does not answer
};

class LoneNode {
  public:
    /// `disk` is the node's directory; if it cannot be written, what it has can still be read. Errc::locked if another
    /// process has it; Errc::other_node if its identity is that of another store. The runtime and the disk outlive it.
    static base::Task<base::Result<std::unique_ptr<LoneNode>>> open(base::host::HostRuntime& runtime, base::Disk& disk,
                                                                    LoneNodeConfig config);
    /// Answers other commands on this socket from now on. Where there can be none (a medium that is read-only) they
    /// wait until we end.
    void listen(const std::string& socket);
    /// Await before destroying it.
    base::Task<void> close();

    [[nodiscard]] past::Storage& storage() { return *past_; }
    [[nodiscard]] const past::SegmentStore& store() const { return *store_; }
    /// For want of what room the store can only be read; nothing if it can be written.
    [[nodiscard]] const std::optional<base::Error>& full() const { return full_; }

  private:
    LoneNode(base::host::HostRuntime& runtime, base::Disk& disk);
    base::Task<base::Result<base::Message>> answer(base::Message message);
    static base::Task<base::Result<void>> find_identity(LoneNode* self);

    std::optional<LoneIdentity> identity_;
    LoneTransport transport_;
    base::NodeEnv env_;
    past::MembershipView membership_;
    std::unique_ptr<past::SegmentStore> store_;
    std::optional<base::Error> full_;
    std::optional<pastry::Alone> overlay_;
    std::unique_ptr<past::Node> past_;
    std::unique_ptr<past::LocalServer> server_;
    std::unique_ptr<base::host::LocalServer> socket_;
};

}  // namespace tools
