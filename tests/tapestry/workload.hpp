// What happens on a simulated mesh while it is measured: questions of everybody, pairs that do not hear each other,
// nodes that come and go.
#pragma once

#include <string>
#include <vector>

#include "mesh.hpp"

namespace tapestry::testing {

/// An object that a live node has published.
struct Claim {
    base::Guid object;
    NodeIndex holder = 0;
    base::TimePoint since{};
};

/// What came of locates whose object had a live holder, also at their end.
struct Tally {
    std::size_t asked = 0;
    std::size_t found = 0;  ///< the holder is among the answers
    std::size_t none = 0;   ///< "nobody publishes it": wrong
    std::size_t unreachable = 0;
    std::vector<double> seconds;  ///< that each took

    [[nodiscard]] double failed() const;  ///< share
    /// As people read it; sorts `seconds`.
    [[nodiscard]] std::string text();
};

class Questions {
  public:
    explicit Questions(Mesh& mesh) : mesh_{mesh} {}

    /// Random active nodes ask for random claims that are older than `settled`, so many times, evenly over `span`.
    void ask(std::size_t times, base::Duration span, base::Duration settled = {});
    void publish(NodeIndex node, std::size_t objects);
    /// Its claims are void.
    void gone(NodeIndex node);

    std::vector<Claim> claims;
    Tally tally;

  private:
    void ask_one(base::Duration settled);
    base::Task<void> locate(NodeIndex from, Claim claim);
    Mesh& mesh_;
};

/// Cuts this share of all pairs, for good.
void cut_pairs(Mesh& mesh, double share);
/// Cuts about this share of all pairs, others every minute: each for five minutes on the average.
void cut_changing_pairs(Mesh& mesh, double share);

/// Nodes die without a word after a session; for each another joins at once. New ones publish when they are in.
class Churn {
  public:
    struct Options {
        std::chrono::seconds mean_session = 1h;
        double shape = 1;  ///< of a Weibull distribution: 1 is exponential, less is heavy-tailed
        std::size_t objects_a_node = 2;
    };
    Churn(Mesh& mesh, Questions& questions, Options options);

    struct Cost {
        std::uint64_t bytes = 0;  ///< of publish messages sent, by the dead too
        std::uint64_t messages = 0;
    };
    [[nodiscard]] Cost cost();
    std::size_t deaths = 0;

  private:
    [[nodiscard]] base::Duration session();
    void dies_later(NodeIndex node);
    void come();
    base::Task<void> enter(NodeIndex node);
    [[nodiscard]] base::Address somebody();
    void add_cost(Cost& cost, NodeIndex node);

    Mesh& mesh_;
    Questions& questions_;
    Options options_;
    Cost dead_;
};

// ---- whole runs, the same in the suite and, larger, in mesh_bench

/// 2.3 % of all pairs cut (others every minute, if `changing`), 1 % loss: a quarter of an hour of questions for objects
/// that were published under the same.
[[nodiscard]] Tally locates_with_bad_pairs(std::uint64_t seed, std::size_t nodes, std::size_t questions, bool changing);

struct Lived {
    Tally tally;
    std::size_t deaths = 0;
    std::size_t live = 0;  ///< nodes at the end
    double bytes = 0;      ///< of republishing, a node and second
    double messages = 0;
    [[nodiscard]] std::string text();
};

/// Sessions of an hour, of this Weibull shape.
[[nodiscard]] Lived locates_under_churn(std::uint64_t seed, std::size_t nodes, std::chrono::minutes span,
                                        std::size_t questions, double shape);

}  // namespace tapestry::testing
