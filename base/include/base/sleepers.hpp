// The coroutines asleep on one execution context. A simulated node that is killed ends them all through this; a context
// without this service (every host's) keeps no list.
#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/intrusive/list.hpp>
#include <cstddef>

namespace base {

class Suspension;

/// Add it with boost::asio::make_service<Sleepers>(context) before anything sleeps there. One thread.
class Sleepers final : public boost::asio::execution_context::service {
  public:
    using key_type = Sleepers;
    using Hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
    static inline boost::asio::execution_context::id id;

    explicit Sleepers(boost::asio::execution_context& context) : service{context} {}

    /// Resumes everybody with operation_aborted, the youngest first, through their executors. Returns how many.
    std::size_t abort_all();

  private:
    friend class Suspension;
    void shutdown() override {}

    boost::intrusive::list<Hook, boost::intrusive::constant_time_size<false>> asleep_;
};

}  // namespace base
