#include "base/sim/local_tree.hpp"
#include "base/host/host_local_tree.hpp"
#include "contract/local_tree_contract.hpp"
#include "contract/temporary_directory.hpp"

namespace base {
namespace {

class SimulatedTree final : public TreeUnderTest {
  public:
    SimulatedTree() { tree_.make_directory("/home/here"); }
    LocalTree& tree() override { return tree_; }
    std::string path() override { return "/home/here"; }

  private:
    sim::LocalTree tree_;
};

class RealTree final : public TreeUnderTest {
  public:
    LocalTree& tree() override { return *tree_; }
    std::string path() override { return directory_.path(); }

  private:
    TemporaryDirectory directory_;
    std::unique_ptr<LocalTree> tree_ = host::make_local_tree();
};

INSTANTIATE_TEST_SUITE_P(Doors, LocalTreeContract,
                         testing::Values(TreeMaker{"sim", [] { return std::make_unique<SimulatedTree>(); }},
                                         TreeMaker{"host", [] { return std::make_unique<RealTree>(); }}),
                         tree_maker_name);

}  // namespace
}  // namespace base
