package main

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

func accessChecks() []check {
	return []check{
		{"token request and review", tokens},
		{"access reviews", reviews},
		{"impersonation and refusal", impersonation},
	}
}

func tokens(ctx context.Context, w *world) error {
	accounts := w.client.CoreV1().ServiceAccounts(space)
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(600))}}
	given, err := accounts.CreateToken(ctx, "robot", asked, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if given.Status.Token == "" || given.Status.ExpirationTimestamp.IsZero() {
		return wanted("token", given.Status, "one that expires")
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: given.Status.Token}}
	reviewed, err := w.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	who := "system:serviceaccount:" + space + ":robot"
	if !reviewed.Status.Authenticated || reviewed.Status.User.Username != who {
		return wanted("review", reviewed.Status, who)
	}
	config := rest.AnonymousClientConfig(w.config)
	config.BearerToken = given.Status.Token
	robot := kubernetes.NewForConfigOrDie(config)
	self, err := robot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if self.Status.UserInfo.Username != who {
		return wanted("self", self.Status.UserInfo, who)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "robot"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-view"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot", Namespace: space}}}
	if _, err := robot.CoreV1().Pods(space).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		return wanted("list before the binding", err, "Forbidden")
	}
	if _, err := w.client.RbacV1().RoleBindings(space).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, "list after the binding", func() (bool, error) {
		_, err := robot.CoreV1().Pods(space).List(ctx, metav1.ListOptions{})
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func reviews(ctx context.Context, w *world) error {
	access := w.client.AuthorizationV1()
	attributes := &authorizationv1.ResourceAttributes{Namespace: space, Verb: "get", Resource: "pods"}
	subject, err := access.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "nobody", ResourceAttributes: attributes}}, metav1.CreateOptions{})
	if err != nil || subject.Status.Allowed {
		return wanted("nobody", fmt.Sprint(subject, err), "refused")
	}
	self, err := access.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}, metav1.CreateOptions{})
	if err != nil || !self.Status.Allowed {
		return wanted("self", fmt.Sprint(self, err), "allowed")
	}
	local, err := access.LocalSubjectAccessReviews(space).Create(ctx, &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: space}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:" + space + ":robot", ResourceAttributes: attributes}}, metav1.CreateOptions{})
	if err != nil || !local.Status.Allowed {
		return wanted("local", fmt.Sprint(local, err), "allowed")
	}
	rules, err := access.SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: space}}, metav1.CreateOptions{})
	if err != nil || len(rules.Status.ResourceRules) == 0 {
		return wanted("rules", fmt.Sprint(rules, err), "some")
	}
	return nil
}

func impersonation(ctx context.Context, w *world) error {
	config := rest.CopyConfig(w.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "mallory", Groups: []string{"g"}, Extra: map[string][]string{"example.com/k": {"v"}}}
	mallory := kubernetes.NewForConfigOrDie(config)
	self, err := mallory.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if self.Status.UserInfo.Username != "mallory" || len(self.Status.UserInfo.Extra["example.com/k"]) != 1 {
		return wanted("self", self.Status.UserInfo, "mallory with extra")
	}
	_, err = mallory.CoreV1().Secrets(space).List(ctx, metav1.ListOptions{})
	text := `secrets is forbidden: User "mallory" cannot list resource "secrets" in API group "" in the namespace "` + space + `"`
	if !apierrors.IsForbidden(err) || err.Error() != text {
		return wanted("list", err, text)
	}
	return nil
}

func approve(ctx context.Context, w *world) error {
	requests := w.client.CertificatesV1().CertificateSigningRequests()
	request, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "approved"}, Spec: certificatesv1.CertificateSigningRequestSpec{Request: certificateRequest(), SignerName: "example.com/signer", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if request.Spec.Username == "" {
		return wanted("user", request.Spec, "who asked")
	}
	request.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test"}}
	request, err = requests.UpdateApproval(ctx, request.Name, request, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	if len(request.Status.Conditions) != 1 || request.Status.Conditions[0].LastTransitionTime.IsZero() {
		return wanted("conditions", request.Status.Conditions, "one with its time")
	}
	return requests.Delete(ctx, request.Name, metav1.DeleteOptions{})
}
